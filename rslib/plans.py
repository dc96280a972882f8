"""The default plan and the fastest one."""

from rslib.engine import default_plan, fastest_plan

__all__ = ["default_plan", "fastest_plan"]
