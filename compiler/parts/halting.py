"""Adaptive depth: stacks that ponder, and stacks that leave early."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor

from mmspec.compiler import ir
from mmspec.compiler.ir.halting import Stepping
from mmspec.compiler.parts.routing import Routing
from mmspec.compiler.parts.scores import scored, scored_lines, scored_masks
from mmspec.compiler.parts.stream import Layers, mean_pool


def rows(tensor: Tensor | None, keep_b: Tensor) -> Tensor | None:
    """The samples to keep of a tensor with a batch axis, or of one that all samples share."""
    return tensor if tensor is None or tensor.shape[0] == 1 else tensor[keep_b]


def of_one_depth(x: Tensor) -> bool:
    """Whether all samples go on to the end, as they do in a graph and under vmap.

    Who stops is not known there; what those say who would have is the same.
    """
    return torch.compiler.is_compiling() or is_functorch_wrapped_tensor(x)


class SteppingStack(Layers):
    """A step of depth {depth}, taken up to {rule.at_most} times until halted."""

    def __init__(self, stack: ir.Stack, depth: int, rule: Stepping, positions: int = 0) -> None:
        super().__init__(stack, depth, positions)
        self.at_most = rule.at_most
        self.threshold = rule.threshold
        self.soft = rule.soft
        self.halt = nn.Linear(stack.out.width, 1)

    def forward(
        self,
        x_btd: Tensor,
        mask: Tensor | None,
        positions_t: Tensor,
        valid_bt: Tensor | None,
        counts: tuple[int, ...],
        routing: list[Routing],
        masks: tuple[Tensor | None, ...],
        context_btd: Tensor,
        contexts: tuple[Tensor, ...],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The mean state of the steps, their weights in it [B, N], and how many were taken [B]."""
        turn = self.rotation(positions_t) if self.rotary else (x_btd, x_btd)
        turns = tuple(each(positions_t) for each in self.rotations) if self.rotated else ()
        if self.related:
            added_hqk = scored_lines(self.relative, counts, self.lines, x_btd.device)
            if self.scored:
                masks = scored_masks(added_hqk, masks, self.scored)
            else:
                mask = scored(added_hqk, mask)
        y_btd = torch.zeros_like(x_btd)
        running_r = torch.arange(x_btd.shape[0], device=x_btd.device)
        precise = torch.promote_types(x_btd.dtype, torch.float32)
        remaining_r = x_btd.new_ones(x_btd.shape[0], dtype=precise)
        steps_b = torch.zeros_like(remaining_r)
        columns: list[Tensor] = []
        for step in range(1, self.at_most + 1):
            for block in self.blocks:
                x_btd = block(
                    x_btd,
                    mask,
                    turn,
                    turns,
                    valid_bt,
                    counts,
                    routing,
                    masks,
                    context_btd,
                    contexts,
                )
            h_btd = self.norm(x_btd) if self.final_norm else x_btd
            p_r = remaining_r
            if step < self.at_most:
                score_r = self.halt(mean_pool(h_btd, valid_bt)).squeeze(-1).to(precise)
                p_r = remaining_r * score_r.sigmoid() if self.soft else score_r.sigmoid()
            # What has halted has nothing left: it stops again, with a weight of 0.
            stop_r = 1 - (remaining_r - p_r) >= self.threshold
            if not (self.soft and self.training):
                p_r = torch.where(stop_r, remaining_r, p_r)
            part_rtd = (p_r[:, None, None] * h_btd).to(y_btd.dtype)
            y_btd = y_btd.index_add(0, running_r, part_rtd)
            columns.append(torch.zeros_like(steps_b).index_add(0, running_r, p_r))
            spent_r = step * p_r if self.soft and self.training else (remaining_r > 0).to(precise)
            steps_b = steps_b.index_add(0, running_r, spent_r)
            remaining_r = remaining_r - p_r
            if self.training or of_one_depth(x_btd):
                continue
            keep_r = ~stop_r
            if not keep_r.any():
                break
            running_r, remaining_r, x_btd = running_r[keep_r], remaining_r[keep_r], x_btd[keep_r]
            valid_bt, mask = rows(valid_bt, keep_r), rows(mask, keep_r)
            masks = tuple(rows(each, keep_r) for each in masks)
            context_btd = context_btd[keep_r]
            contexts = tuple(each_btd[keep_r] for each_btd in contexts)
        unused = [torch.zeros_like(steps_b)] * (self.at_most - len(columns))
        return y_btd, torch.stack(columns + unused, dim=1), steps_b


class PonderStack(SteppingStack):
    """A step of depth {depth}, up to {rule.at_most} times until halted (Banino et al. 2021)."""


def ponder_penalty(p_bn: Tensor, prior: float) -> Tensor:
    """Mean over the batch of KL(p || truncated geometric distribution of rate `prior`)."""
    steps_n = torch.arange(p_bn.shape[1], device=p_bn.device, dtype=p_bn.dtype)
    # In logarithms: many steps of a prior near 1 are less than a float holds.
    log_prior_n = steps_n * math.log1p(-prior)
    log_prior_n = log_prior_n - log_prior_n.exp().sum().log()
    log_p_bn = p_bn.clamp_min(torch.finfo(p_bn.dtype).tiny).log()
    divergence = (p_bn * (log_p_bn - log_prior_n)).sum()
    return divergence / max(p_bn.shape[0], 1)


class ActStack(SteppingStack):
    """A step of depth {depth}, taken up to {rule.at_most} times until halted (Graves 2016)."""


def paid_steps(p_bn: Tensor, steps_b: Tensor) -> Tensor:
    """Mean over the batch of the steps taken and the last one's weight."""
    remainder_b = p_bn.gather(1, steps_b.long()[:, None] - 1).squeeze(1)
    return (steps_b + remainder_b).sum() / max(p_bn.shape[0], 1)


class ExitStack(Layers):
    """Depth {depth}; in evaluation a sample leaves once the head is confident."""

    def __init__(self, stack: ir.Stack, depth: int, rule: ir.Exit, positions: int = 0) -> None:
        super().__init__(stack, depth, positions)
        self.after = rule.after
        self.threshold = rule.threshold

    def forward(
        self,
        x_btd: Tensor,
        mask: Tensor | None,
        positions_t: Tensor,
        valid_bt: Tensor | None,
        counts: tuple[int, ...],
        routing: list[Routing],
        head: Callable[[Tensor, Tensor | None], Tensor],
        masks: tuple[Tensor | None, ...],
        context_btd: Tensor,
        contexts: tuple[Tensor, ...],
    ) -> tuple[list[Tensor], Tensor]:
        """The state at every exit (training) or at each sample's own (evaluation); depths [B]."""
        turn = self.rotation(positions_t) if self.rotary else (x_btd, x_btd)
        turns = tuple(each(positions_t) for each in self.rotations) if self.rotated else ()
        if self.related:
            added_hqk = scored_lines(self.relative, counts, self.lines, x_btd.device)
            if self.scored:
                masks = scored_masks(added_hqk, masks, self.scored)
            else:
                mask = scored(added_hqk, mask)
        states: list[Tensor] = []
        y_btd = torch.zeros_like(x_btd)
        depth_b = x_btd.new_zeros(x_btd.shape[0])
        running_r = torch.arange(x_btd.shape[0], device=x_btd.device)
        for depth, block in enumerate(self.blocks, start=1):
            x_btd = block(
                x_btd,
                mask,
                turn,
                turns,
                valid_bt,
                counts,
                routing,
                masks,
                context_btd,
                contexts,
            )
            if depth not in self.after:
                continue
            h_btd = self.norm(x_btd) if self.final_norm else x_btd
            if self.training:
                states.append(h_btd)
                continue
            confidence_r = head(h_btd, valid_bt).softmax(dim=-1).amax(dim=-1)
            stop_r = (confidence_r >= self.threshold) | (depth == len(self.blocks))
            if of_one_depth(x_btd):
                leaves_b = stop_r & (depth_b == 0)
                y_btd = torch.where(leaves_b[:, None, None], h_btd, y_btd).to(y_btd.dtype)
                depth_b = torch.where(leaves_b, depth, depth_b)
                continue
            y_btd = y_btd.index_copy(0, running_r[stop_r], h_btd[stop_r].to(y_btd.dtype))
            depth_b = depth_b.index_fill(0, running_r[stop_r], depth)
            keep_r = ~stop_r
            if not keep_r.any():
                break
            running_r, x_btd = running_r[keep_r], x_btd[keep_r]
            valid_bt, mask = rows(valid_bt, keep_r), rows(mask, keep_r)
            masks = tuple(rows(each, keep_r) for each in masks)
            context_btd = context_btd[keep_r]
            contexts = tuple(each_btd[keep_r] for each_btd in contexts)
        if self.training:
            return states, depth_b.fill_(len(self.blocks))
        return [y_btd], depth_b
