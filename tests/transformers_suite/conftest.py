"""Applies the table of skips to transformers' tests."""

import contextlib

import pytest
from transformers_suite.skips import SKIPPED_TESTS, explain
from transformers_suite.source import CHECKOUT, find_archive_tests


def pytest_configure(config: pytest.Config) -> None:
    """Download once, before there are workers; name transformers' markers."""
    if not CHECKOUT and not hasattr(config, "workerinput"):
        with contextlib.suppress(OSError):  # each module says it, as a skip or an error
            find_archive_tests()
    for name in ("slow", "torch_compile_test", "generate", "flash_attn_test"):
        config.addinivalue_line("markers", f"{name}: transformers' own marker")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the table names."""
    for item in items:
        if item.name in SKIPPED_TESTS:
            item.add_marker(pytest.mark.skip(reason=f"not here: {SKIPPED_TESTS[item.name]}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> pytest.TestReport:
    """Fail a test that is skipped for a reason which the table does not have."""
    report = yield
    if report.skipped and item.name not in SKIPPED_TESTS:
        reason = str(call.excinfo.value)
        if explain(reason) is None:
            report.outcome = "failed"
            report.longrepr = f"{item.name} is skipped and skips.py does not say why: {reason}"
    return report
