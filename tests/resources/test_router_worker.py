"""The entry of a step's process: it takes Dagster's arguments, and ends at once while it has begun nothing."""

import pytest

from resources.router.worker import USAGE, main


@pytest.fixture(autouse=True)
def signals_as_they_were():
    import signal

    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("arguments", [[], ["api", "grpc"]])
def test_another_command_is_refused_in_one_sentence(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == USAGE
    assert "(allowed: 'api execute_step')" in capsys.readouterr().err
