"""Accounts: what each of their commands means."""

from collections.abc import Callable, Iterator
from uuid import UUID, uuid5

from ledger.kernel.command import AccountCommandData, Command, CommandKind
from ledger.kernel.money import shown
from ledger.kernel.noun import handles
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts import facts, rules
from ledger.nouns.accounts.commands import (
    AdjustBalance,
    CloseAccount,
    Deposit,
    HaltAccount,
    OpenAccount,
    OuterMovementData,
    ReactivateAccount,
    RecordCashFlow,
    RecordWithdrawal,
    SetReporting,
    SuspendAccount,
    Transfer,
    Withdraw,
)
from ledger.nouns.accounts.events import MAIN, AccountEvent, Reason
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.accounts.rejections import AccountRejection
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.allocations.rules import sub_accounts
from ledger.nouns.allocations.state import ALLOCATION
from ledger.nouns.allocations.state import stream_id as allocation_stream
from ledger.nouns.limits import rules as limit_rules
from ledger.nouns.limits.state import LIMITS, SYSTEM_STREAM, author
from ledger.nouns.limits.state import stream_id as limit_stream
from ledger.nouns.limits.terms import RATIO, LimitMeasure, LimitScope, LimitTerms
from ledger.nouns.references.events import (
    ReferenceRecorded,
    ReferenceRepeated,
    ReferenceScope,
    ToldMovement,
)
from ledger.nouns.references.state import REFERENCE, Reference, ReferenceState


def _reads(command: Command, _: AccountCommandData) -> Iterator[UUID]:
    assert command.account_id is not None
    yield command.account_id
    yield allocation_stream(command.account_id)


def own_account(work: UnitOfWork) -> AccountState:
    """The account of the command, whose user its events are of from here on. Raises Rejection if
    there is none, or if the command's user is not the account's."""
    state = work.state(ACCOUNT, work.account_id)
    if state is None:
        raise Rejection(
            AccountRejection.UNKNOWN_ACCOUNT, f"there is no account {work.command.subject}"
        )
    if work.command.user_id not in {None, state.user_id}:
        raise Rejection(
            AccountRejection.NOT_YOUR_ACCOUNT,
            f"account {work.command.subject} is not user {work.command.user_id}'s",
        )
    work.of_user(state.user_id)
    return state


def _record(work: UnitOfWork, events: tuple[AccountEvent, ...]) -> UUID | None:
    return work.record(ACCOUNT, work.account_id, events)


def _sub_accounts(work: UnitOfWork) -> frozenset[str]:
    return sub_accounts(work.state(ALLOCATION, allocation_stream(work.account_id)))


def _reads_opening(command: Command, data: OpenAccount) -> Iterator[UUID]:
    yield from _reads(command, data)
    limits = _own_limits(data)
    if limits:
        yield SYSTEM_STREAM
        yield limit_stream(LimitScope.ACCOUNT, str(data.account_id))
        yield from limits


def _own_limits(data: OpenAccount) -> dict[UUID, LimitTerms]:
    """What the account may lose, as limits, by their ids."""
    shares = {
        LimitMeasure.MAX_DAILY_LOSS: data.max_daily_loss,
        LimitMeasure.MAX_DRAWDOWN: data.max_total_drawdown,
    }
    return {
        uuid5(limit_stream(LimitScope.ACCOUNT, str(data.account_id)), measure): LimitTerms(
            measure=measure, value=share, unit=RATIO, description="of the account's opening"
        )
        for measure, share in shares.items()
        if share is not None
    }


@handles(OpenAccount, reads=_reads_opening)
def open_account(work: UnitOfWork, data: OpenAccount) -> None:
    if work.command.user_id not in {None, data.user_id}:
        raise Rejection(
            AccountRejection.NOT_YOUR_ACCOUNT,
            f"user {work.command.user_id} cannot open an account of user {data.user_id}",
        )
    events = rules.open_account(
        work.state(ACCOUNT, work.account_id),
        account_id=data.account_id,
        user_id=data.user_id,
        exchange=data.exchange,
        name=data.name,
        account_type=data.account_type,
        environment=data.environment,
        base_currency=data.base_currency,
        cost_basis=data.cost_basis,
        position_mode=data.position_mode,
    )
    work.of_user(data.user_id)
    cause = _record(work, events)
    for limit_id, terms in _own_limits(data).items():
        _limit(work, limit_id, terms, cause)


def _limit(work: UnitOfWork, limit_id: UUID, terms: LimitTerms, cause: UUID | None) -> None:
    scope, reference = LimitScope.ACCOUNT, str(work.account_id)
    stream, by = limit_stream(scope, reference), author(work.command)
    registered = limit_rules.register(
        work.state(LIMITS, limit_id), limit_id=limit_id, scope=scope, reference=reference, by=by
    )
    noted = limit_rules.note_scope(
        work.state(LIMITS, SYSTEM_STREAM), scope=scope, reference=reference
    )
    events = limit_rules.set_limit(
        work.state(LIMITS, stream),
        limit_id=limit_id,
        scope=scope,
        reference=reference,
        terms=terms,
        by=by,
        now=work.now,
    )
    work.record(LIMITS, limit_id, registered, cause)
    work.record(LIMITS, SYSTEM_STREAM, noted, cause)
    work.record(LIMITS, stream, events, cause)


def _check_sub_account(work: UnitOfWork, sub_account: str) -> None:
    if sub_account != MAIN:
        rules.check_sub_account(sub_account, _sub_accounts(work))


# --- money from and to outside --------------------------------------------------------


def _reads_movement(command: Command, data: OuterMovementData) -> Iterator[UUID]:
    yield from _reads(command, data)
    assert command.account_id is not None
    named = _name_of(command.account_id, data)
    if named is not None:
        yield named.stream_id


def _name_of(account_id: UUID, data: OuterMovementData) -> Reference | None:
    """Its reference, or else the transfer that it is a side of. None for one without a name, and
    for one of which it is said that it bears the name of another."""
    incoming = isinstance(data, Deposit)
    if data.repeats_reference:
        return None
    if data.reference is not None:
        scope = ReferenceScope.DEPOSIT if incoming else ReferenceScope.WITHDRAWAL
        return Reference(account_id, scope, data.reference, data.asset)
    if data.transfer_id is not None:
        scope = ReferenceScope.ARRIVAL if incoming else ReferenceScope.DEPARTURE
        return Reference(account_id, scope, data.transfer_id, data.asset)
    return None


def _told(data: OuterMovementData) -> ToldMovement:
    return ToldMovement(
        kind=Reason.DEPOSIT if isinstance(data, Deposit) else Reason.WITHDRAWAL,
        asset=data.asset,
        amount=data.amount,
        sub_account=data.sub_account,
        fee=data.fee,
        fee_asset=data.fee_asset,
    )


def _terms(work: UnitOfWork, data: OuterMovementData) -> rules.MovementTerms:
    """Where a fact puts money that it says is in a sub-account that is not there: it is in the
    account, and so in `main`."""
    unknown = data.sub_account != MAIN and data.sub_account not in _sub_accounts(work)
    if unknown and data.command_kind is CommandKind.REQUEST:
        rules.check_sub_account(data.sub_account, _sub_accounts(work))
    return {
        "sub_account": MAIN if unknown else data.sub_account,
        "unknown_sub_account": data.sub_account if unknown else None,
        "reference": data.reference,
        "transfer_id": data.transfer_id,
        "fee": data.fee,
        "fee_asset": data.fee_asset,
        "cost": data.cost,
        "acquired_at": data.acquired_at,
    }


def _record_movement(
    work: UnitOfWork, data: OuterMovementData, decide: Callable[..., tuple[AccountEvent, ...]]
) -> None:
    """Records it, unless its name is taken: then a request is refused, and of a fact it is recorded
    that it was told, but no money moves."""
    state = own_account(work)
    named = _name_of(work.account_id, data)
    known = None if named is None else work.state(REFERENCE, named.stream_id)
    if named is not None and known is not None:
        taken = _taken(named, known)
        if data.command_kind is CommandKind.REQUEST:
            raise taken
        _record_again(work, named, _told(data))
        work.denied = taken
        return
    terms = _terms(work, data)
    cause = _record(work, decide(state, asset=data.asset, amount=data.amount, **terms))
    if named is not None:
        _record_name(work, named, _told(data), cause)


def _taken(named: Reference, known: ReferenceState) -> Rejection:
    movement = known.movement
    return Rejection(
        AccountRejection.DUPLICATE_REFERENCE,
        f"{named.text!r} is the name of a {movement.kind.lower()} of {shown(movement.amount)} "
        f"{movement.asset} already",
    )


def _record_name(
    work: UnitOfWork, named: Reference, movement: ToldMovement, cause: UUID | None
) -> None:
    event = ReferenceRecorded(
        account_id=named.account_id, scope=named.scope, reference=named.text, movement=movement
    )
    work.record(REFERENCE, named.stream_id, (event,), cause)


def _record_again(work: UnitOfWork, named: Reference, movement: ToldMovement) -> None:
    event = ReferenceRepeated(
        account_id=named.account_id, scope=named.scope, reference=named.text, movement=movement
    )
    work.record(REFERENCE, named.stream_id, (event,))


@handles(Deposit, reads=_reads_movement)
def deposit(work: UnitOfWork, data: Deposit) -> None:
    _record_movement(work, data, rules.deposit)


@handles(Withdraw, reads=_reads_movement)
def withdraw(work: UnitOfWork, data: Withdraw) -> None:
    _record_movement(work, data, rules.withdraw)


@handles(RecordWithdrawal, reads=_reads_movement)
def record_withdrawal(work: UnitOfWork, data: RecordWithdrawal) -> None:
    _record_movement(work, data, facts.record_withdrawal)


def _flow_name(account_id: UUID, data: RecordCashFlow) -> Reference:
    return Reference(account_id, ReferenceScope.CASH_FLOW, data.flow_id)


def _reads_flow(command: Command, data: RecordCashFlow) -> Iterator[UUID]:
    yield from _reads(command, data)
    assert command.account_id is not None
    yield _flow_name(command.account_id, data).stream_id


@handles(RecordCashFlow, reads=_reads_flow)
def record_cash_flow(work: UnitOfWork, data: RecordCashFlow) -> None:
    """A known flow does nothing; with another content it is recorded as told again and moves no
    money, and the sender must look into it."""
    state = own_account(work)
    named = _flow_name(work.account_id, data)
    movement = ToldMovement(
        kind=data.kind,
        asset=data.asset,
        amount=data.amount,
        sub_account=data.sub_account,
        instrument=data.instrument,
        position_side=data.position_side,
        counter_asset=data.counter_asset,
        counter_amount=data.signed_counter_amount,
    )
    known = work.state(REFERENCE, named.stream_id)
    if known is not None:
        if known.movement != movement:
            _record_again(work, named, movement)
            work.denied = Rejection(
                AccountRejection.FLOW_CONFLICT,
                f"cash flow {data.flow_id!r} is recorded with another content",
            )
        return
    unknown = data.sub_account not in {None, *_sub_accounts(work)}
    events = facts.record_cash_flow(
        state,
        flow_id=data.flow_id,
        kind=data.kind,
        asset=data.asset,
        amount=data.amount,
        sub_account=MAIN if unknown else data.sub_account,
        instrument=data.instrument,
        position_side=data.position_side,
        counter_asset=data.counter_asset,
        counter_amount=data.signed_counter_amount,
        info=data.info,
        unknown_sub_account=data.sub_account if unknown else None,
    )
    _record_name(work, named, movement, _record(work, events))


# --- money between sub-accounts, corrections ------------------------------------------


@handles(Transfer, reads=_reads)
def transfer(work: UnitOfWork, data: Transfer) -> None:
    _record(
        work,
        rules.transfer(
            own_account(work),
            asset=data.asset,
            amount=data.amount,
            from_sub_account=data.from_sub_account,
            to_sub_account=data.to_sub_account,
            known_sub_accounts=_sub_accounts(work),
        ),
    )


@handles(AdjustBalance, reads=_reads)
def adjust_balance(work: UnitOfWork, data: AdjustBalance) -> None:
    state = own_account(work)
    _check_sub_account(work, data.sub_account)
    _record(
        work,
        rules.adjust(
            state,
            asset=data.asset,
            amount=data.amount,
            reason=data.reason,
            actor=data.actor,
            sub_account=data.sub_account,
        ),
    )


@handles(SetReporting, reads=_reads)
def set_reporting(work: UnitOfWork, data: SetReporting) -> None:
    _record(
        work,
        rules.set_reporting(
            own_account(work),
            periods_per_year=data.periods_per_year,
            time_zone=data.time_zone,
            benchmark=data.benchmark,
            risk_free_rate=data.risk_free_rate,
        ),
    )


@handles(SuspendAccount, reads=_reads)
def suspend_account(work: UnitOfWork, data: SuspendAccount) -> None:
    _record(
        work,
        rules.suspend(own_account(work), reason=data.reason, actor=data.actor),
    )


@handles(HaltAccount, reads=_reads)
def halt_account(work: UnitOfWork, data: HaltAccount) -> None:
    _record(
        work,
        rules.halt(own_account(work), reason=data.reason, actor=data.actor),
    )


@handles(ReactivateAccount, reads=_reads)
def reactivate_account(work: UnitOfWork, data: ReactivateAccount) -> None:
    _record(
        work,
        rules.reactivate(own_account(work), reason=data.reason, actor=data.actor),
    )


@handles(CloseAccount, reads=_reads)
def close_account(work: UnitOfWork, data: CloseAccount) -> None:
    _record(
        work,
        rules.close(own_account(work), reason=data.reason, actor=data.actor),
    )
