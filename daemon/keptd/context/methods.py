"""The handler of context.bundle."""

from __future__ import annotations

from kept.wire.context import Bundle, BundleContext

from ..domain import ReadCtx
from ..rpc.methods import serves
from . import gather, rules


@serves(heavy=True)
def bundle(ctx: ReadCtx, call: BundleContext) -> Bundle:
    filled = rules.arrange(gather.shelves(ctx, call.project, call.session), call.budget_tokens)
    return rules.bundle(filled, call.budget_tokens, call.format == "markdown", call.if_none_match)
