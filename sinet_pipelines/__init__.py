"""The AI platform of SINet as a plain library: how each step of a model's life is done, on any worker."""

from sinet_pipelines.usage_reports import switch_off_usage_reports

switch_off_usage_reports()
