"""Measures of performance and risk: pure functions of series of returns, equity and trades.

    returns     what was made per period with flows taken out, linked and per year; money-weighted
    moments     mean, spread, skew and kurtosis, one return after the other
    drawdown    how far below its peak a curve is, since when, and when it was there again
    ratios      Sharpe, Sortino, Calmar, Omega, alpha, beta, tail and stability
    tail        value at risk and expected shortfall: historical, Gaussian, Cornish-Fisher
    trades      profit factor, win rate, runs of wins and losses, of trades that are closed
    holdings    exposure, concentration, diversification and correlation of what is held

Every measure says its method and on how many points it rests, and is undefined with a reason
rather than 0, infinite or not a number (`measure.Measure`). All is computed in decimal arithmetic
of fifty digits, so the same series gives the same digits on every machine; what has a
recurrence is kept by one, so that a fold needs no more than its last state.
"""
