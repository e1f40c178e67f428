"""A page as PDF, by a browser that is installed: what prints it is what shows it.

Of Chromium and its kin, the first that is found; `LEDGER_BROWSER` names another. It gets the page
as a file of its own, with a profile of its own, and no network: a report has all that it needs.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ledger.kernel.errors import LedgerError

BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
)
PRINT_SECONDS = 60
"""A page takes one or two; a machine that is loaded takes some more."""


class NoBrowser(LedgerError):
    """There is no browser to print with, or it does not print."""


def pdf(html: str, browser: str | None = None) -> bytes:
    """The page, printed. Raises NoBrowser."""
    program = _found(browser)
    with tempfile.TemporaryDirectory(prefix="ledger-print-") as directory:
        page, printed = Path(directory, "page.html"), Path(directory, "page.pdf")
        page.write_text(html, encoding="utf-8")
        arguments = [
            *(program, "--headless", "--disable-gpu", "--no-first-run", "--disable-extensions"),
            *("--no-pdf-header-footer", "--proxy-server=127.0.0.1:9"),
            *(f"--user-data-dir={directory}/profile", f"--print-to-pdf={printed}"),
        ]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")  # its sandbox is refused to root; the page is ours
        try:
            done = subprocess.run(
                [*arguments, page.as_uri()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PRINT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NoBrowser(f"{program} did not print within {PRINT_SECONDS} s") from None
        if not printed.exists():
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise NoBrowser(f"{program} did not print: {' '.join(said) or 'it said nothing'}")
        return printed.read_bytes()


def _found(browser: str | None) -> str:
    named = (browser,) if browser else BROWSERS
    for name in named:
        program = shutil.which(name)
        if program is not None:
            return program
    raise NoBrowser(
        f"no browser to print with ({', '.join(named)}): install Chromium, or name one by "
        "LEDGER_BROWSER; --format html is the same page"
    )
