"""One example at a time on the CPU: stochastic gradient descent and Adagrad, compiled by numba.

XLA needs batches to be quick, and with a batch of one it takes tens of microseconds to start each step. This kernel
is the same step (`sampled/batches.py` with batches of 1, held equal by a test) in one loop over the examples. It runs
in one thread, because each step reads what the last one wrote: so figures repeat to the bit.
"""

from typing import no_type_check

import numba
import numpy as np

options: dict = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
"""Sums compile to wide instructions only if their terms may be added in any order."""
compiled = numba.njit(**options)
inlined = numba.njit(**options, inline="always")
"""For loops over a row: a call would cost more than the row itself."""

SQUARED, LOGISTIC, BPR, WARP, SOFTMAX = range(5)
LOSSES = {"squared": SQUARED, "logistic": LOGISTIC, "bpr": BPR, "warp": WARP, "softmax": SOFTMAX}
ADAGRAD_START, ADAGRAD_EPS = np.float32(0.1), np.float32(1e-7)
"""Those of Optax: sums of squared gradients start at the first."""


@inlined
@no_type_check  # numba compiles the plain function, not one that a type checker has wrapped
def _step_item(gradient, slope, users, u, items, j, rate, penalty):
    """Move an item against its gradient, and add to the user's, in one pass over the row."""
    for f in range(users.shape[1]):
        old = items[j, f]
        gradient[f] += slope * old
        items[j, f] = old - rate * (slope * users[u, f] + penalty * old)


@inlined
@no_type_check
def _step_item_adagrad(gradient, slope, users, u, items, squares, j, rate, penalty):
    for f in range(users.shape[1]):
        old = items[j, f]
        gradient[f] += slope * old
        own = slope * users[u, f] + penalty * old
        squares[j, f] += own * own
        items[j, f] = old - rate * own / np.sqrt(squares[j, f] + ADAGRAD_EPS)


@compiled
@no_type_check
def _sigmoid(x):
    return np.float32(1) / (np.float32(1) + np.exp(-x))


@compiled
@no_type_check
def _softplus(x):
    return max(x, np.float32(0)) + np.log1p(np.exp(-abs(x)))


@compiled
@no_type_check
def _squared(n, value, scores, candidates, low, high, slope):
    """Each `_loss` writes the derivative by each score into `slope`, and returns the loss."""
    score, inner = scores[0], np.float32(1)
    if high > low:
        share = _sigmoid(score)
        score, inner = low + (high - low) * share, (high - low) * share * (np.float32(1) - share)
    slope[0] = (score - value) * inner
    total = (score - value) ** 2
    for k in range(1, n):
        slope[k] = scores[k] if candidates[k] >= 0 else np.float32(0)
        total += slope[k] ** 2
    return total / np.float32(2)


@compiled
@no_type_check
def _logistic(n, scores, candidates, slope, wants_loss):
    slope[0] = -_sigmoid(-scores[0])
    total = _softplus(-scores[0]) if wants_loss else np.float32(0)
    for k in range(1, n):
        slope[k] = np.float32(0)
        if candidates[k] >= 0:
            slope[k] = _sigmoid(scores[k])
            if wants_loss:  # a logarithm for each pair takes a fifth of the time
                total += _softplus(scores[k])
    return total


@compiled
@no_type_check
def _bpr(n, scores, candidates, slope, wants_loss):
    slope[0], total = np.float32(0), np.float32(0)
    for k in range(1, n):
        slope[k] = np.float32(0)
        if candidates[k] >= 0:
            slope[k] = _sigmoid(scores[k] - scores[0])
            slope[0] -= slope[k]
            if wants_loss:
                total += _softplus(scores[k] - scores[0])
    return total


@compiled
@no_type_check
def _softmax(n, scores, candidates, log_q, temperature, slope):
    highest = scores[0] / temperature
    for k in range(n):
        slope[k] = np.float32(-np.inf)
        if k == 0 or candidates[k] >= 0:
            slope[k] = scores[k] / temperature - (log_q[candidates[k]] if k else np.float32(0))
            highest = max(highest, slope[k])
    total = np.float32(0)
    for k in range(n):
        slope[k] = np.exp(slope[k] - highest)
        total += slope[k]
    for k in range(n):
        slope[k] /= total * temperature
    slope[0] -= np.float32(1) / temperature
    return highest + np.log(total) - scores[0] / temperature


@compiled
@no_type_check
def _warp(n, scores, candidates, rank_weight, slope):
    """The first negative within the margin of 1; its number tells the positive's rank."""
    for k in range(n):
        slope[k] = np.float32(0)
    for k in range(1, n):
        if candidates[k] >= 0 and scores[k] > scores[0] - np.float32(1):
            weight = rank_weight[max((len(rank_weight) - 1) // k, 1) - 1]
            slope[0], slope[k] = -weight, weight
            return weight * (np.float32(1) - scores[0] + scores[k])
    return np.float32(0)


@compiled
@no_type_check
def _merge(n, is_warp, candidates, slope, count):
    """How often each candidate is used: one that stands there twice is stepped once, as in a batch.

    Returns the number of pairs used and the sum of slopes.
    """
    used, total = np.float32(0), np.float32(0)
    for k in range(n):
        is_used = slope[k] != 0 if is_warp else candidates[k] >= 0
        count[k] = np.float32(is_used)
        used += count[k]
        total += slope[k]
        if is_used:
            for earlier in range(k):
                if candidates[earlier] == candidates[k]:
                    slope[earlier] += slope[k]
                    count[earlier] += count[k]
                    slope[k], count[k] = np.float32(0), np.float32(0)
                    break
    return used, total


@compiled
@no_type_check
def _slopes(loss, n, value, scores, candidates, log_q, temperature, rank_weight, low, high, slope, wants_loss):
    if loss == LOGISTIC:
        return _logistic(n, scores, candidates, slope, wants_loss)
    if loss == SQUARED:
        return _squared(n, value, scores, candidates, low, high, slope)
    if loss == BPR:
        return _bpr(n, scores, candidates, slope, wants_loss)
    if loss == SOFTMAX:
        return _softmax(n, scores, candidates, log_q, temperature, slope)
    return _warp(n, scores, candidates, rank_weight, slope)


@compiled
@no_type_check
def _score(user_factors, user_bias, u, item_factors, item_bias, candidates, offset, is_warp, scores):
    """Fills `scores`; returns how many candidates matter: WARP's trials end at the first within the margin."""
    for k in range(len(candidates)):
        if candidates[k] >= 0:
            j = np.uint32(candidates[k])
            total = np.float32(0)
            for f in range(user_factors.shape[1]):
                total += user_factors[u, f] * item_factors[j, f]
            scores[k] = offset + user_bias[u] + item_bias[j] + total
            if is_warp and k and scores[k] > scores[0] - np.float32(1):
                return k + 1
    return len(candidates)


@compiled
@no_type_check
def _step_items(
    n, gradient, slope, count, candidates, users, u, items, squares, bias, bias_squares, reg, rate, bias_rate
):
    """Move the scored items; `squares` is None, or stands for Adagrad."""
    for k in range(n):
        if count[k] > 0:
            j, g = np.uint32(candidates[k]), slope[k]
            penalty = count[k] * reg[j]
            if squares is None:
                _step_item(gradient, g, users, u, items, j, rate, penalty)
            else:
                _step_item_adagrad(gradient, g, users, u, items, squares, j, rate, penalty)
            _step_bias(bias, bias_squares, j, bias_rate, g, penalty)


@compiled
@no_type_check
def _user_gradient(n, gradient, slope, candidates, items):
    for k in range(n):
        if candidates[k] >= 0:
            j = np.uint32(candidates[k])
            for f in range(items.shape[1]):
                gradient[f] += slope[k] * items[j, f]


@compiled
@no_type_check
def _step_user(users, u, squares, gradient, rate, penalty):
    if squares is None:
        for f in range(users.shape[1]):
            users[u, f] -= rate * (gradient[f] + penalty * users[u, f])
    else:
        for f in range(users.shape[1]):
            own = gradient[f] + penalty * users[u, f]
            squares[u, f] += own * own
            users[u, f] -= rate * own / np.sqrt(squares[u, f] + ADAGRAD_EPS)


@compiled
@no_type_check
def _step_bias(bias, squares, row, rate, slope, penalty):
    gradient = slope + penalty * bias[row]
    if squares is not None:
        squares[row] += gradient * gradient
        gradient /= np.sqrt(squares[row] + ADAGRAD_EPS)
    bias[row] -= rate * gradient


@compiled
@no_type_check
def take_steps(
    loss, user, item, value, negatives, rate,
    users, user_bias, user_reg, user_squares, user_bias_squares,
    items, item_bias, item_reg, item_squares, item_bias_squares,
    offset, log_q, temperature, rank_weight, low, high, bias_rate, fix_items, wants_loss,
):  # fmt: skip
    """One step per row of `user` and `item`, in place; returns the sum of the losses before each (if `wants_loss`).

    `negatives` `[rows, any]` holds −1 for none; `rate` is per row. Of each side: factors, biases, penalty per row, and
    Adagrad's sums of squared gradients (None for plain descent). `offset` is added to every score, `log_q` is taken off
    the negatives' with softmax, `rank_weight` holds Σ 1/t, `low` and `high` are the ends of a sigmoid's range (0 and 0
    for none), `bias_rate` is 1 or, to leave the biases, 0.
    """
    # Plain arrays all the way down: one in a tuple, or a view, is counted by the runtime at each use.
    width = 1 + negatives.shape[1]
    candidates, count = np.empty(width, np.int32), np.empty(width, np.float32)
    scores, slope = np.empty(width, np.float32), np.empty(width, np.float32)
    gradient = np.empty(users.shape[1], np.float32)
    total = 0.0
    for row in range(len(user)):
        u, step = np.uint32(user[row]), rate[row]
        candidates[0] = item[row]
        for k in range(1, width):
            candidates[k] = negatives[row, k - 1]
        n = _score(users, user_bias, u, items, item_bias, candidates, offset, loss == WARP, scores)
        total += _slopes(
            loss, n, value[row], scores, candidates, log_q, temperature, rank_weight, low, high, slope, wants_loss
        )
        used, bias_gradient = _merge(n, loss == WARP, candidates, slope, count)
        if used == 0:
            continue
        for f in range(len(gradient)):
            gradient[f] = np.float32(0)
        if fix_items:
            _user_gradient(n, gradient, slope, candidates, items)
        else:
            _step_items(
                n, gradient, slope, count, candidates, users, u, items, item_squares, item_bias, item_bias_squares,
                item_reg, step, bias_rate * step,
            )  # fmt: skip
        _step_user(users, u, user_squares, gradient, step, used * user_reg[u])
        _step_bias(user_bias, user_bias_squares, u, bias_rate * step, bias_gradient, used * user_reg[u])
    return total
