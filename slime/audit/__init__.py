"""What is wrong with a store, before a model sees it."""

from slime.audit.findings import Finding, Severity
from slime.audit.report import AuditReport, audit, check_audit

__all__ = ["AuditReport", "Finding", "Severity", "audit", "check_audit"]
