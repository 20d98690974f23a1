# SPDX-License-Identifier: MIT
"""From real numbers to integers: what docs/QUANTIZATION.md leaves to the converter.

1. Steps. Tensors that an op ties together (inputs and output of add, pools and relu) form a group. The range of
   a group comes from calibration images. Inside of a group every channel gets a step of its own: a convolution
   has one scale per output channel, so it can deliver any steps for free, and a reader takes them up in its
   weights (a depthwise one exactly; others in weights that are then quantized).
2. Weights. Each layer, in order, gets the weights and biases that best reproduce the float network's output from the
   *integer* input that it will really see (ridge regression towards the original weights), so that errors of
   earlier layers are partly undone; then they are rounded one after the other, each time moving the error to the
   weights not rounded yet (optimal brain quantization), and the bias takes what mean error is left.

All of this only chooses numbers in the file; the arithmetic stays that of docs/QUANTIZATION.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from . import format as mien
from . import reference, tensor_ops
from .errors import ModelError
from .fold import FloatNet, Op

CHUNK = 50  # images at a time
STRIPE = 10  # images that are looked at in the same positions
SAMPLES = 120000  # positions of a layer, over all images, that its weights are fitted to


@dataclass
class Options:
    """What to try; the defaults are what agrees best with the float networks of tests/compare_keras.py."""

    range_method: str = "mse"  # "max", "mse" (least squared error) or a percentile
    shift: bool = True  # center the range of each channel where nothing needs 0 to stay 0
    equalize: Optional[float] = (
        None  # 0: one step a tensor; 1: every channel uses the whole range; None: weigh what each needs
    )
    refit: bool = True  # regression against the float network
    rounding: str = "error"  # "nearest" or "error" (feedback)
    ridge: float = (
        0.1  # weight of the original weights in the regression, relative to the mean power of an input
    )
    rounds: int = 2  # passes of single-weight improvements behind the rounding
    weight_bits: int = 8  # 6 or 7: see docs/QUANTIZATION.md

    @property
    def largest_weight(self) -> int:
        return 2 ** (self.weight_bits - 1) - 1

    @property
    def largest_rows(self) -> Optional[int]:
        """What two neighboring rows of a depthwise 3x3 kernel may add up to, weights of one sign; None: anything."""
        return 2 ** (self.weight_bits + 1) if self.weight_bits < 8 else None

    def described(self) -> Dict[str, Any]:
        """For a file's description."""
        said = {
            "range": self.range_method,
            "channel_steps": self.equalize is None,
            "shift": self.shift,
            "refit": self.refit,
            "rounding": self.rounding,
        }
        if self.weight_bits < 8:
            said["weight_bits"] = self.weight_bits
        return said


Progress = Optional[Callable[[str, int, int], None]]


# ---------------------------------------------------------------- steps


@dataclass
class Steps:
    """How a tensor's integers read: real value = step * integer - shift, channel by channel."""

    step: np.ndarray
    shift: np.ndarray


@dataclass
class Ties:
    """Which channels of which tensors must have the same step: their integers are compared, added
    or copied. Tensors that are tied in any channel are a group; its different channels have
    numbers, the variables of the group."""

    groups: List[int]  # for each tensor the lowest tensor of its group
    variables: List[np.ndarray]  # for each tensor the variables of its channels

    def alone(self, t: int) -> bool:
        return self.groups.count(self.groups[t]) == 1


def ties_of(net: FloatNet) -> Ties:
    shapes = [net.input_shape] + [op.output_shape for op in net.ops]
    first = np.cumsum([0] + [shape[2] for shape in shapes])
    channels = [np.arange(a, b) for a, b in zip(first, first[1:])]
    parent, tensors = np.arange(first[-1]), list(range(len(shapes)))

    def find(parents: Any, v: int) -> int:
        while parents[v] != v:
            parents[v] = parents[parents[v]]
            v = parents[v]
        return v

    def tie(t: int, own: np.ndarray, other: int, theirs: np.ndarray) -> None:
        low, high = sorted((find(tensors, t), find(tensors, other)))
        tensors[high] = low
        for a, b in zip(own, theirs):
            low, high = sorted((find(parent, a), find(parent, b)))
            parent[high] = low

    for i, op in enumerate(net.ops):
        if op.op in (mien.ADD, mien.MAX_POOL, mien.AVG_POOL, mien.RELU, mien.UPSAMPLE2):
            for t in op.inputs:
                tie(t, channels[t], i + 1, channels[i + 1])
        elif op.op == mien.CONCAT:
            count = len(channels[op.inputs[0]])
            tie(op.inputs[0], channels[op.inputs[0]], i + 1, channels[i + 1][:count])
            tie(op.inputs[1], channels[op.inputs[1]], i + 1, channels[i + 1][count:])
    groups = [find(tensors, t) for t in range(len(shapes))]
    roots = [np.array([find(parent, v) for v in own]) for own in channels]
    variables: List[np.ndarray] = []
    for t, own in enumerate(roots):
        members = np.unique(np.concatenate([r for g, r in zip(groups, roots) if g == groups[t]]))
        variables.append(np.searchsorted(members, own))
    return Ties(groups, variables)


_COPIES = (mien.MAX_POOL, mien.AVG_POOL, mien.UPSAMPLE2, mien.CONCAT)  # nothing larger than before


def limits_of(net: FloatNet, ties: Ties) -> Dict[int, np.ndarray]:
    """For each group the largest value of each variable: where the only ones that make it are ReLUs
    with a limit, 127 steps must not exceed it, so that saturation is the limit."""
    limits: Dict[int, np.ndarray] = {}
    free: Dict[int, np.ndarray] = {}
    for t, group in enumerate(ties.groups):
        count = max(int(v.max()) for g, v in zip(ties.groups, ties.variables) if g == group) + 1
        limits.setdefault(group, np.full(count, np.inf))
        free.setdefault(group, np.zeros(count, bool))
        op = net.ops[t - 1] if t > 0 else None
        own = ties.variables[t]
        if op is not None and op.limit is not None:
            limits[group][own] = np.minimum(limits[group][own], op.limit)
        elif op is None or op.op not in _COPIES:
            free[group][own] = True
    for i, op in enumerate(net.ops):
        if op.limit is None:
            continue
        group, own = ties.groups[i + 1], ties.variables[i + 1]
        if free[group][own].any() or (limits[group][own] != op.limit).any():
            raise NotSaturating(i)
    return limits


class NotSaturating(Exception):
    """A ReLU with a limit whose tensor is tied to larger values: the op."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def legalize(net: FloatNet) -> None:
    """Rewrites, in place, what ties between steps do not allow: a limit that saturation cannot be
    becomes a table, and a mean with one scale for all channels, beside tensors with steps of their
    own, a pool as large as the map."""
    for op in net.ops:
        if op.op == mien.GLOBAL_AVG_POOL and not ties_of(net).alone(net.ops.index(op) + 1):
            t = op.inputs[0]
            size = (net.input_shape if t == 0 else net.ops[t - 1].output_shape)[:2]
            if max(size) <= 255:
                op.op, op.kernel, op.stride = mien.AVG_POOL, size, size
    while True:
        try:
            limits_of(net, ties_of(net))
            return
        except NotSaturating as found:
            op, t = net.ops[found.at], found.at + 1
            limit, op.limit = op.limit, None
            for other in net.ops[t:]:
                other.inputs = [i + 1 if i >= t else i for i in other.inputs]
            table = Op(f"{op.name}/limit", mien.TABLE, [t], op.output_shape)
            table.function = lambda x, limit=limit: np.minimum(x, limit)
            net.ops.insert(t, table)


def _least_error_ranges(flat: np.ndarray, centered: bool) -> Tuple[np.ndarray, np.ndarray]:
    """Per column the interval with the least squared error of rounding and clipping together. `centered` intervals may lie
    anywhere; others are used as -max..max."""
    bins = 256
    if len(flat) > 1 << 19:
        flat = flat[:: -(-len(flat) // (1 << 19))]
    low, high = flat.min(axis=0).astype(np.float64), flat.max(axis=0).astype(np.float64)
    if not centered:
        high = np.maximum(np.maximum(-low, high), 1e-30)
        low = np.where(low < 0, -high, 0.0)
    width = np.maximum((high - low) / bins, 1e-30)
    for c in range(flat.shape[1]):
        x = flat[:, c]
        x = x[
            x != 0
        ]  # zeros are always exact: where a ReLU makes many, they must not ask for finer steps
        counts = np.bincount(
            np.minimum(((x - low[c]) / width[c]).astype(np.int64), bins - 1), minlength=bins
        ).astype(np.float64)
        edges = low[c] + width[c] * np.arange(bins + 1)
        centers = (edges[1:] + edges[:-1]) / 2
        # Sum of (x - edge)^2 over the values above (below) each edge.
        n, s1, s2 = (np.concatenate([[0.0], np.cumsum(counts * centers**k)]) for k in range(3))
        below = edges**2 * n - 2 * edges * s1 + s2
        above = edges**2 * (n[-1] - n) - 2 * edges * (s1[-1] - s1) + (s2[-1] - s2)
        if centered:
            cost = (
                below[:, None]
                + above[None]
                + x.size * ((edges[None] - edges[:, None]) / 254) ** 2 / 12
            )
            cost[np.arange(bins + 1)[:, None] >= np.arange(bins + 1)[None]] = np.inf
            i, j = np.unravel_index(np.argmin(cost), cost.shape)
            low[c], high[c] = edges[i], edges[j]
        else:
            tops = edges[bins // 2 + 1 :] if low[c] < 0 else edges[1:]
            cost = above[-len(tops) :] + x.size * (tops / 127) ** 2 / 12
            if low[c] < 0:
                cost = cost + below[: len(tops)][::-1]
            high[c] = tops[np.argmin(cost)]
            low[c] = -high[c] if low[c] < 0 else 0.0
    return low, high


def channel_ranges(x: np.ndarray, method: str, centered: bool) -> Tuple[np.ndarray, np.ndarray]:
    """[C] and [C]: the interval of values worth representing, channel by channel."""
    flat = x.reshape(-1, x.shape[-1])
    if method == "mse":
        return _least_error_ranges(flat, centered)
    if method == "max":
        return flat.min(axis=0).astype(np.float64), flat.max(axis=0).astype(np.float64)
    tail = 100 - float(method)
    low, high = np.percentile(flat, (tail, 100 - tail), axis=0).astype(np.float64)
    return np.minimum(low, high), high


def _weigh_steps(
    finest: np.ndarray,
    largest: np.ndarray,
    readers: List[Tuple[Op, np.ndarray, np.ndarray]],
    largest_weight: int,
) -> np.ndarray:
    """Steps for the variables of one group, at least `finest`, for the least noise in the
    convolutions that read it, and not above `largest`.

    A finer step means less rounding noise of the activations, but larger integers for the rounding errors of the weights
    to act on: it is not worth it for a channel that matters little. `readers`: convolutions with the variance of each
    channel that they see, and the variables of these channels."""
    if not readers:
        return finest
    problems = []
    for op, variance, own in readers:
        w = np.abs(op.weights)
        power, peak = (w**2).sum(axis=(1, 2)), w.max(axis=(1, 2))  # [out][channel]
        signal = power @ variance
        gain = 1 / np.maximum(signal, signal.mean() * 1e-3 + 1e-30)
        problems.append(
            (
                gain @ power,
                peak * np.sqrt(gain)[:, None],
                variance,
                own,
                op.weights.shape[1] * op.weights.shape[2],
            )
        )

    def noise(all_steps: np.ndarray) -> float:
        total = 0.0
        for importance, peak, variance, own, taps in problems:
            steps = all_steps[own]
            weight_noise = ((peak * steps).max(axis=1) / largest_weight) ** 2
            # Half: rounding with feedback removes about that much of the weights' noise.
            total += (
                importance @ steps**2
                + 0.5 * weight_noise.sum() * taps * (variance / steps**2).sum()
            )
        return total

    steps, best = finest.copy(), noise(finest)
    for _ in range(3):
        before = best
        for c in range(len(steps)):
            kept = steps[c]
            for factor in 2.0 ** np.arange(0, 6.5, 0.5):
                trial = finest[c] * factor
                if trial > finest.max() or trial > largest[c]:
                    break
                steps[c] = trial
                cost = noise(steps)
                if cost < best:
                    best, kept = cost, trial
            steps[c] = kept
        if best > before * 0.999:
            break
    return steps


# ---------------------------------------------------------------- one layer with weights


def _positions(
    size: Tuple[int, int, int], pictures: int, first: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Which output positions to look at: all of a small map, a regular sample of a large one that differs from image to
    image. Neighbors say the same thing, so more would cost much and change little."""
    total = size[0] * size[1]
    wanted = min(total, max(16, SAMPLES // max(pictures, 1)))
    step = total / wanted
    at = (np.arange(wanted) * step + (first * 0.6180339887498949 % 1) * step).astype(
        np.int64
    ) % total
    return at // size[1], at % size[1]


def _fit_rows(op: Op, x: np.ndarray, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """What the output positions (ys, xs) see: [positions, K]; for a depthwise op [channels, positions, taps]."""
    kernel = op.weights.shape[:2] if op.op == mien.DEPTHWISE else op.weights.shape[1:3]
    x = tensor_ops.pad(x, op.pads)
    rows = np.stack(
        [
            x[:, ys * op.stride[0] + ky, xs * op.stride[1] + kx]
            for ky in range(kernel[0])
            for kx in range(kernel[1])
        ],
        axis=2,
    )
    if op.op == mien.DEPTHWISE:
        return np.ascontiguousarray(
            rows.reshape(-1, rows.shape[2], rows.shape[3]).transpose(2, 0, 1)
        )
    return rows.reshape(rows.shape[0] * rows.shape[1], -1)


def _round_with_feedback(
    target: np.ndarray, step: np.ndarray, hessian: np.ndarray, options: Options, largest: int
) -> np.ndarray:
    """target [out, K] to integers of at most `largest`, so that the error weighed by hessian [K, K] is small.
    step [out, 1]."""
    count = hessian.shape[0]
    factor = None
    for damping in (1e-2, 1e-1, 1.0, 10.0):
        damped = hessian + np.eye(count) * (damping * np.trace(hessian) / count + 1e-30)
        order = np.argsort(-np.diag(damped), kind="stable")
        damped = damped[np.ix_(order, order)]
        # Upper Cholesky factor of the inverse: row i says how to move an error of weight i to those after it.
        try:
            factor = np.linalg.cholesky(np.linalg.inv(damped)).T
            break
        except np.linalg.LinAlgError:  # inputs far more alike than a float64 can tell
            continue
    if factor is None:
        factor = np.eye(count)
    w = target[:, order].copy()
    q = np.zeros_like(w)
    for i in range(count):
        q[:, i] = np.clip(np.rint(w[:, i] / step[:, 0]), -largest, largest)
        error = (w[:, i] - q[:, i] * step[:, 0]) / factor[i, i]
        w[:, i:] -= error[:, None] * factor[i, i:]
    result = np.zeros_like(q)
    result[:, order] = q
    # Then single steps up or down wherever that still lowers the error.
    h_diag = np.diag(hessian)
    gradient = (result * step - target) @ hessian  # half of the derivative
    for _ in range(options.rounds):
        changed = 0
        for k in order:
            if h_diag[k] <= 0:
                continue
            best = np.rint(result[:, k] - gradient[:, k] / (h_diag[k] * step[:, 0]))
            delta = np.clip(best, -largest, largest) - result[:, k]
            if delta.any():
                changed += int(np.count_nonzero(delta))
                result[:, k] += delta
                gradient += (delta * step[:, 0])[:, None] * hessian[k]
        if not changed:
            break
    return result


def _moments(
    op: Op,
    xf: np.ndarray,
    xq: np.ndarray,
    step_in: np.ndarray,
    progress: Callable[[int, int], None],
) -> Tuple[np.ndarray, ...]:
    """Sums over all positions, with a leading axis of channels for depthwise ops (else 1):
    quantized inputs times themselves, times the float inputs, and both means."""
    hqq = hqf = mq = mf = None
    rows = 0
    for start in range(0, len(xf), STRIPE):
        ys, xs = _positions(op.size, len(xf), start // STRIPE)
        q = _fit_rows(op, xq[start : start + STRIPE].astype(np.float32) * step_in, ys, xs)
        f = _fit_rows(op, xf[start : start + STRIPE].astype(np.float32), ys, xs)
        if q.ndim == 2:
            q, f = q[None], f[None]
        qt = q.transpose(0, 2, 1)
        a, b = (qt @ q).astype(np.float64), (qt @ f).astype(np.float64)
        c, d = q.sum(axis=1, dtype=np.float64), f.sum(axis=1, dtype=np.float64)
        if hqq is None:
            hqq, hqf, mq, mf = a, b, c, d
        else:
            hqq += a
            hqf += b
            mq += c
            mf += d
        rows += q.shape[1]
        progress(min(start + STRIPE, len(xf)), len(xf))
    return hqq / rows, hqf / rows, mq / rows, mf / rows


def quantize_weights(
    op: Op,
    step_in: np.ndarray,
    shift_in: np.ndarray,
    out: Optional[Steps],
    moments: Tuple[np.ndarray, ...],
    options: Options,
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """int8 weights, int32 biases and float32 scales of a layer.

    `moments` are of the integer inputs times step_in and of the float inputs; `out` is None for logits.
    """
    depthwise = op.op == mien.DEPTHWISE
    hqq, hqf, mq, mf = moments
    if depthwise:
        taps, channels = op.weights.shape[0] * op.weights.shape[1], op.weights.shape[2]
        w = op.weights.reshape(taps, channels).T[:, None, :]  # [channels, 1, taps]
        column_step = np.broadcast_to(step_in[:, None], (channels, taps))
        column_shift = np.broadcast_to(shift_in[:, None], (channels, taps))
        bias = op.bias[:, None]
    else:
        w = op.weights.reshape(1, op.weights.shape[0], -1)
        column_step = np.tile(step_in, op.weights.shape[1] * op.weights.shape[2])[None]
        column_shift = np.tile(shift_in, op.weights.shape[1] * op.weights.shape[2])[None]
        bias = op.bias[None]
    rows = options.largest_rows if depthwise and op.weights.shape[:2] == (3, 3) else None
    # From here on: independent problems [problem][output][term], weights in units of the integer inputs.
    problems, outputs, terms = w.shape
    weights_q = np.zeros((problems, outputs, terms))
    w_step = np.ones((problems, outputs))
    new_bias = np.zeros((problems, outputs))
    for p in range(problems):
        s = column_step[p]
        original, wanted_mean = w[p] * s, w[p] @ mf[p] + bias[p]
        # Around the means: what is constant goes into the bias anyway. In units of the integers.
        cov_qq = (hqq[p] - np.outer(mq[p], mq[p])) / np.outer(s, s)
        cov_qf = (hqf[p] - np.outer(mq[p], mf[p])) / s[:, None]
        target = original
        if options.refit:
            ridge = options.ridge * np.trace(cov_qq) / terms + 1e-12
            a = cov_qq + np.eye(terms) * ridge
            b = cov_qf @ w[p].T + ridge * original.T
            target = np.linalg.solve(a, b).T
        # What makes logits is multiplied in 32 bits everywhere: it keeps all bits.
        most = 127 if op.logits and not depthwise else options.largest_weight
        largest = np.abs(target).max(axis=1)
        mean_q = mq[p] / s
        # A bias that is huge beside the weights would not fit; coarser weights make room for it.
        room = np.abs(wanted_mean - target @ mean_q) / 2.0**23
        step = np.maximum(np.where(largest > 0, largest / most, 0), room)
        step = np.where(step > 0, step, 1.0)
        if rows is not None:
            room = np.maximum(room, _largest_rows(target) / rows)
        while True:
            if options.rounding == "nearest":
                step = np.maximum(step, room)
                q = np.clip(np.rint(target / step[:, None]), -most, most)
            else:
                q, step = _search_step(target, step, room, cov_qq, options, most)
            if rows is None or (_largest_rows(q) <= rows).all():
                break
            room = step * 1.01
        weights_q[p], w_step[p] = q, step
        real_weights = q * step[:, None] / s
        new_bias[p] = (
            wanted_mean - real_weights @ mq[p]
            if options.refit
            else bias[p] - w[p] @ column_shift[p]
        )
    w_step, new_bias = w_step.reshape(-1), new_bias.reshape(-1)
    if out is not None:
        new_bias = new_bias + out.shift
    bias_q = np.rint(new_bias / w_step).astype(np.int64)
    if depthwise:
        int_weights = weights_q[:, 0].T.reshape(op.weights.shape)
    else:
        int_weights = weights_q[0].reshape(op.weights.shape)
    if op.logits:
        scale = w_step / (op.size[0] * op.size[1] if op.op == mien.CONV_GAP else 1)
    else:
        scale = w_step / out.step
    return int_weights.astype(np.int8), bias_q.astype(np.int32), scale.astype(np.float32)


def _largest_rows(kernels: np.ndarray) -> np.ndarray:
    """[n, 9], 3x3 kernels: the most that weights of one sign in two neighboring rows add up to."""
    rows = kernels.reshape(-1, 3, 3)
    sums = [np.maximum(sign * rows, 0).sum(axis=2) for sign in (1, -1)]
    return np.max([s[:, y] + s[:, y + 1] for s in sums for y in (0, 1)], axis=0)


def _search_step(
    target: np.ndarray,
    step: np.ndarray,
    room: np.ndarray,
    hessian: np.ndarray,
    options: Options,
    largest: int,
) -> Tuple[np.ndarray, np.ndarray]:
    """Rounding with feedback, for several weight steps around the usual one; the best for each output."""
    best_q = best_step = best_cost = None
    for shrink in (1.0, 0.97, 0.94, 0.9, 0.85):
        trial = np.maximum(step * shrink, room)
        q = _round_with_feedback(target, trial[:, None], hessian, options, largest)
        error = q * trial[:, None] - target
        cost = np.einsum("ok,ok->o", error @ hessian, error)
        if best_q is None:
            best_q, best_step, best_cost = q, trial, cost
        else:
            better = cost < best_cost
            best_q[better], best_step[better], best_cost[better] = (
                q[better],
                trial[better],
                cost[better],
            )
    return best_q, best_step


# ---------------------------------------------------------------- the whole network


def quantize(
    net: FloatNet,
    pixels: np.ndarray,
    input_scale: float,
    input_offset: float,
    labels: List[str],
    options: Optional[Options] = None,
    progress: Progress = None,
) -> mien.Network:
    """The integer network. `pixels` uint8 [N, h, w, c] are the calibration images."""
    options = options or Options()
    legalize(net)
    if len(net.ops) > mien.MAX_LAYERS:
        raise ModelError("network", f"more than {mien.MAX_LAYERS} layers")
    ends = np.float32(input_offset), np.float32(255) * np.float32(input_scale) + np.float32(
        input_offset
    )
    top_step = 255 if net.unsigned_input else 127
    input_quant = max(float(max(abs(e) for e in ends)) / top_step, 1e-9)
    input_quant = float(np.float32(input_quant))
    result = mien.Network(
        net.input_shape,
        float(np.float32(input_scale)),
        float(np.float32(input_offset)),
        input_quant,
        labels,
        [],
        net.softmax,
        maps=net.maps,
        multiple=net.multiple,
        unsigned_input=net.unsigned_input,
    )
    steps = _choose_steps(net, pixels, result, options, progress)

    table = reference.input_table(result)
    xf: Dict[int, np.ndarray] = {0: reference.scale_pixels(pixels, input_scale, input_offset)}
    xq: Dict[int, np.ndarray] = {0: table[pixels]}
    last_use = net.last_uses()
    for i, op in enumerate(net.ops):
        note = (
            (lambda done, total, i=i: progress(f"layer {i + 1} of {len(net.ops)}", done, total))
            if progress
            else (lambda *_: None)
        )
        s_in, shift_in = steps[op.inputs[0]].step, steps[op.inputs[0]].shift
        layer = mien.Layer(
            op.name,
            op.op,
            op.inputs[0],
            op.size,
            op.relu,
            op.logits,
            op.kernel,
            op.stride,
            op.pads,
            op.inputs[1] if len(op.inputs) > 1 else None,
        )
        if not op.logits:
            layer.quant = float(np.float32(steps[i + 1].step.max()))
        if op.weights is not None:
            layer.kernel = (
                op.weights.shape[:2] if op.op == mien.DEPTHWISE else op.weights.shape[1:3]
            )
            moments = _moments(
                op, xf[op.inputs[0]], xq[op.inputs[0]], s_in.astype(np.float32), note
            )
            layer.weights, layer.bias, layer.scale = quantize_weights(
                op, s_in, shift_in, None if op.logits else steps[i + 1], moments, options
            )
            if not op.logits:
                # The range of a nearly constant channel can be far below one step of its sums. The
                # engine bounds sum times scale; every sum but 0 saturates with either scale.
                sums = mien.largest_sums(layer, net.unsigned_input and layer.input == 0)
                most = mien.LARGEST_OUTPUT * (1 - 2.0**-20) / np.maximum(sums, 1)
                layer.scale = np.minimum(layer.scale, most.astype(np.float32))
        elif op.op == mien.TABLE:
            layer.weights = _tables(op.function, steps[op.inputs[0]], steps[i + 1])
        elif op.op == mien.MULTIPLY:
            both = s_in * steps[op.inputs[1]].step
            layer.scale = (both / steps[i + 1].step).astype(np.float32)
        elif op.op == mien.GLOBAL_AVG_POOL:
            h, w, _ = (
                net.input_shape if op.inputs[0] == 0 else net.ops[op.inputs[0] - 1].output_shape
            )
            layer.scale = np.array([s_in[0] / (h * w * steps[i + 1].step[0])], np.float32)
        result.layers.append(layer)
        if not op.logits:
            xf[i + 1] = _in_chunks(lambda *ins: op.run(list(ins)), [xf[t] for t in op.inputs])
            xq[i + 1] = _in_chunks(
                lambda *ins: reference.integer_layer(layer, *ins), [xq[t] for t in op.inputs]
            )
        for t in op.inputs:
            if last_use[t] == i:
                xf.pop(t, None)
                xq.pop(t, None)
    return result


def _tables(
    function: Callable[[np.ndarray], np.ndarray], before: Steps, after: Steps
) -> np.ndarray:
    """int8 [1 or channels][256]: the function of each integer, rounded once."""
    integers = np.maximum(np.arange(-128, 128), -127)[:, None]
    with np.errstate(all="ignore"):
        made = function(integers * before.step - before.shift)
    made = np.nan_to_num(made, posinf=1e30, neginf=-1e30)
    tables = np.clip(np.rint((made + after.shift) / after.step), -127, 127).astype(np.int8).T
    return tables[:1] if (tables == tables[0]).all() else tables


def _in_chunks(function: Callable[..., np.ndarray], arrays: List[np.ndarray]) -> np.ndarray:
    return np.concatenate(
        [function(*(a[s : s + CHUNK] for a in arrays)) for s in range(0, len(arrays[0]), CHUNK)]
    )


def _shiftable(net: FloatNet, ties: Ties, t: int) -> bool:
    """May integer 0 of tensor t mean something else than 0? Where no op but one convolution after the other touches it,
    and no zero padding is put around it, yes: a bias before and a bias behind take up the difference.
    """
    if t == 0 or not ties.alone(t):
        return False
    maker = net.ops[t - 1]
    readers = [op for op in net.ops if t in op.inputs]
    return (
        (maker.weights is not None or maker.op == mien.TABLE)
        and not maker.relu
        and not maker.logits
        and all(
            op.op == mien.TABLE or op.weights is not None and not any(op.pads) for op in readers
        )
    )


def _choose_steps(
    net: FloatNet, pixels: np.ndarray, result: mien.Network, options: Options, progress: Progress
) -> List[Steps]:
    ties = ties_of(net)
    groups, limits = ties.groups, limits_of(net, ties)
    low: Dict[int, np.ndarray] = {g: np.full(len(v), np.inf) for g, v in limits.items()}
    high: Dict[int, np.ndarray] = {g: np.full(len(v), -np.inf) for g, v in limits.items()}
    variance: Dict[int, np.ndarray] = {}
    values: Dict[int, np.ndarray] = {
        0: reference.scale_pixels(pixels, result.input_scale, result.input_offset)
    }
    last_use = net.last_uses()
    for i, op in enumerate(net.ops):
        if op.logits:
            continue
        x = values[i + 1] = _in_chunks(
            lambda *ins: op.run(list(ins)), [values[t] for t in op.inputs]
        )
        for t in op.inputs:
            if last_use[t] == i:
                values.pop(t, None)
        if progress:
            progress("ranges", i + 1, len(net.ops))
        readers = [other for other in net.ops if i + 1 in other.inputs]
        if readers and all(other.op == mien.MAX_POOL for other in readers):
            continue  # what a saturated value loses, the pool would not have let through (or loses it just the same)
        variance[i + 1] = (
            x.reshape(-1, x.shape[-1]).astype(np.float32).var(axis=0).astype(np.float64)
        )
        a, b = channel_ranges(
            x, options.range_method, options.shift and _shiftable(net, ties, i + 1)
        )
        np.minimum.at(low[groups[i + 1]], ties.variables[i + 1], a)
        np.maximum.at(high[groups[i + 1]], ties.variables[i + 1], b)
    steps: List[Steps] = []
    chosen: Dict[int, np.ndarray] = {}
    for t in range(len(net.ops)):
        g, own = groups[t], ties.variables[t]
        shape = net.input_shape if t == 0 else net.ops[t - 1].output_shape
        shift = np.zeros(shape[2])
        if t > 0 and net.ops[t - 1].logits:  # a result
            steps.append(Steps(np.ones(shape[2]), shift))
            continue
        if g == 0:  # pixels have fixed ends, and so has what is tied to them
            steps.append(Steps(np.full(shape[2], result.input_quant), shift))
            continue
        reach = np.minimum(np.maximum(-low[g], high[g]), limits[g])
        if options.shift and _shiftable(net, ties, t):
            shift, reach = -(low[g] + high[g]) / 2, (high[g] - low[g]) / 2
        top = max(float(reach.max()), 1e-12)
        finest = (
            np.maximum(reach / top, 1e-4) * top / 127
        )  # a channel that is (almost) never used keeps some room
        if options.equalize is not None:
            step = (finest / finest.max()) ** options.equalize * finest.max()
        elif g not in chosen:
            chosen[g] = _weigh_steps(
                finest,
                limits[g] / 127,
                [
                    (op, variance[op.inputs[0]], ties.variables[op.inputs[0]])
                    for op in net.ops
                    if op.op in (mien.CONV, mien.CONV_GAP) and groups[op.inputs[0]] == g
                ],
                options.largest_weight,
            )
            step = chosen[g]
        else:
            step = chosen[g]
        step = step[own]
        maker = net.ops[t - 1]
        if maker.op == mien.GLOBAL_AVG_POOL:
            # One scale for all channels: the steps behind it are those before it, times a constant.
            before = steps[maker.inputs[0]].step
            step = before * float((reach[own] / 127 / before).max() or 1.0)
        steps.append(Steps(step, shift))
    return steps
