"""What TensorBoard and MLflow read back from runs that went through, were continued, or went back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dermsynth.core.errors import ConfigError
from dermsynth.training.loggers import Logger, make_loggers

SETTINGS = {"algorithm": "dcgan", "training.seed": 0}
BACK = "loss_generator is not finite at 500 images: back to 200 images, with half the learning rate"


def tensorboard(out: Path, images_seen: int = 0) -> Logger:
    return make_loggers(["tensorboard"], out, SETTINGS, images_seen)[0]


def lines(logger: Logger, steps: Sequence[int], value: float = 0.0) -> None:
    for step in steps:
        logger.line(step, {"images_seen": step, "loss_generator": step + value})


def sheet(folder: Path) -> Path:
    path = folder / "000000300.png"
    Image.fromarray(np.full((16, 32, 3), 77, np.uint8)).save(path)
    return path


class Board:
    """What TensorBoard shows of a run."""

    def __init__(self, out: Path) -> None:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        everything = {"scalars": 0, "images": 0, "tensors": 0}
        self.events = EventAccumulator(str(out.with_name(f"{out.name}.tensorboard")), everything).Reload()

    def curve(self, name: str = "loss_generator") -> list[tuple[int, float]]:
        return [(event.step, event.value) for event in self.events.Scalars(name)]

    def texts(self, name: str = "findings") -> list[tuple[int, str]]:
        found = self.events.Tensors(f"{name}/text_summary")
        return [(event.step, event.tensor_proto.string_val[0].decode()) for event in found]


def test_tensorboard_shows_curves_pictures_findings_and_settings(tmp_path: Path) -> None:
    logger = tensorboard(tmp_path / "run")
    lines(logger, [100, 200, 300])
    logger.line(300, {"coverage": 0.5})
    logger.picture(300, sheet(tmp_path))
    logger.finding(300, "mode collapse: …")
    logger.close("finished")
    board = Board(tmp_path / "run")
    assert board.curve() == [(100, 100.0), (200, 200.0), (300, 300.0)]
    assert board.curve("coverage") == [(300, 0.5)]
    assert [(image.step, image.width, image.height) for image in board.events.Images("samples")] == [(300, 32, 16)]
    assert board.texts() == [(300, "mode collapse: …")]
    assert "| training.seed | 0 |" in board.texts("settings")[0][1]


def test_the_axis_is_no_curve_of_its_own(tmp_path: Path) -> None:
    logger = tensorboard(tmp_path / "run")
    lines(logger, [100])
    logger.close("finished")
    assert Board(tmp_path / "run").events.Tags()["scalars"] == ["loss_generator"]


def test_the_folder_of_the_run_stays_as_it_is(tmp_path: Path) -> None:
    # Its card lists the hash of every file, and it is renamed when it is complete.
    (tmp_path / "run").mkdir()
    tensorboard(tmp_path / "run").close("finished")
    assert not list((tmp_path / "run").iterdir())


def test_a_killed_run_leaves_what_it_told(tmp_path: Path) -> None:
    lines(tensorboard(tmp_path / "run"), [100, 200])  # never closed
    assert [step for step, _ in Board(tmp_path / "run").curve()] == [100, 200]


def test_a_continued_run_shows_every_step_once(tmp_path: Path) -> None:
    # The first session went on to 500 after its last checkpoint at 300, and was killed.
    lines(tensorboard(tmp_path / "run"), [100, 200, 300, 400, 500])
    logger = tensorboard(tmp_path / "run", images_seen=300)
    lines(logger, [400, 500, 600])
    logger.close("finished")
    board = Board(tmp_path / "run")
    assert [step for step, _ in board.curve()] == [100, 200, 300, 400, 500, 600]
    assert len(board.texts("settings")) == 1


def test_a_continued_run_does_not_show_what_it_has_not_reached_again(tmp_path: Path) -> None:
    lines(tensorboard(tmp_path / "run"), [100, 200, 300, 400, 500])
    logger = tensorboard(tmp_path / "run", images_seen=300)
    lines(logger, [400])
    logger.close("stopped")
    assert [step for step, _ in Board(tmp_path / "run").curve()] == [100, 200, 300, 400]


def test_a_run_that_starts_over_forgets_the_one_before(tmp_path: Path) -> None:
    lines(tensorboard(tmp_path / "run"), [50, 100, 150])
    logger = tensorboard(tmp_path / "run")
    lines(logger, [100, 200], value=7)
    logger.close("finished")
    assert Board(tmp_path / "run").curve() == [(100, 107.0), (200, 207.0)]


def test_a_run_that_goes_back_shows_what_came_after(tmp_path: Path) -> None:
    logger = tensorboard(tmp_path / "run")
    lines(logger, [100, 200, 300, 400])
    logger.finding(200, BACK)
    lines(logger, [300, 400, 500], value=7)
    logger.close("finished")
    board = Board(tmp_path / "run")
    assert board.curve() == [(100, 100.0), (200, 200.0), (300, 307.0), (400, 407.0), (500, 507.0)]
    assert board.texts() == [(200, BACK)]


def test_no_name_means_no_logger(tmp_path: Path) -> None:
    assert make_loggers([], tmp_path / "run", SETTINGS) == []
    assert not list(tmp_path.iterdir())


def test_a_name_given_twice_logs_once(tmp_path: Path) -> None:
    assert len(make_loggers(["tensorboard", "tensorboard"], tmp_path / "run", SETTINGS)) == 1


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown logger 'tensorbord'; did you mean 'tensorboard'\?"):
        make_loggers(["tensorbord"], tmp_path / "run", SETTINGS)


@pytest.mark.parametrize(("name", "extra"), [("tensorboard", "track"), ("mlflow", "mlflow")])
def test_a_missing_extra_is_named_with_the_line_that_installs_it(
    name: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"'{name}' is not installed .*: pip install 'dermsynth\[{extra}\]'$"):
        make_loggers([name], tmp_path / "run", SETTINGS)


def test_a_place_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "run.tensorboard").write_text("in the way")
    with pytest.raises(ConfigError, match=r"logger 'tensorboard' cannot be used: .*run\.tensorboard"):
        tensorboard(tmp_path / "run")


def test_a_logger_that_fails_stops_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = tensorboard(tmp_path / "run")
    logger.picture(100, tmp_path / "absent.png")
    lines(logger, [200, 300])
    logger.close("finished")
    assert [record.getMessage().partition(";")[2] for record in caplog.records] == [
        " nothing more is logged there, the run goes on"
    ]
    assert "absent.png" in caplog.text


@pytest.fixture
def mlflow_logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Logger]:
    pytest.importorskip("mlflow")
    # $MLFLOW_TRACKING_URI is honoured; the folder is another one so that nothing falls into the repository.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)

    def make(images_seen: int = 0, settings: dict[str, Any] = SETTINGS) -> Logger:
        return make_loggers(["mlflow"], tmp_path / "run", settings, images_seen)[0]

    return make


def mlflow_runs() -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient()
    known = client.get_experiment_by_name("dermsynth")
    assert known is not None
    return list(client.search_runs([known.experiment_id], order_by=["attributes.start_time ASC"]))


def mlflow_curve(run: Any, name: str = "loss_generator") -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    return [(point.step, point.value) for point in MlflowClient().get_metric_history(run.info.run_id, name)]


def test_mlflow_holds_curves_pictures_findings_and_settings(
    mlflow_logger: Callable[..., Logger], tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    logger = mlflow_logger()
    lines(logger, [100, 200])
    logger.picture(300, sheet(tmp_path))
    logger.finding(300, "mode collapse: …")
    logger.close("finished")
    (run,) = mlflow_runs()
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params == {"algorithm": "dcgan", "training.seed": "0"}
    assert mlflow_curve(run) == [(100, 100.0), (200, 200.0)]
    assert run.data.tags["mlflow.note.content"] == "- 300 images: mode collapse: …"
    assert [file.path for file in MlflowClient().list_artifacts(run.info.run_id, "samples")] == [
        "samples/000000300.png"
    ]


def test_mlflow_holds_every_step_of_a_continued_run_once(mlflow_logger: Callable[..., Logger]) -> None:
    first = mlflow_logger()
    lines(first, [100, 200, 300, 400])
    first.finding(400, "mode collapse: …")
    second = mlflow_logger(images_seen=200)
    second.line(300, {"loss_generator": 300.0, "coverage": 0.5})  # the first was killed between the two
    lines(second, [400])
    second.finding(400, "mode collapse: …")
    lines(second, [500])
    second.close("stopped")
    (run,) = mlflow_runs()
    assert mlflow_curve(run) == [(step, float(step)) for step in (100, 200, 300, 400, 500)]
    assert mlflow_curve(run, "coverage") == [(300, 0.5)]
    assert run.data.tags["mlflow.note.content"].count("mode collapse") == 1
    assert run.info.status == "KILLED"


def test_mlflow_holds_a_run_that_starts_over_beside_the_one_before(mlflow_logger: Callable[..., Logger]) -> None:
    lines(mlflow_logger(), [100])  # killed before its first checkpoint
    lines(mlflow_logger(), [100, 200])
    runs = mlflow_runs()
    assert [run.info.status for run in runs] == ["KILLED", "RUNNING"]
    assert [len(mlflow_curve(run)) for run in runs] == [1, 2]


def test_mlflow_does_not_mix_runs_of_other_settings(mlflow_logger: Callable[..., Logger]) -> None:
    mlflow_logger().close("finished")
    mlflow_logger(images_seen=100, settings={"training.seed": 1}).close("finished")
    assert [run.data.params.get("training.seed") for run in mlflow_runs()] == ["0", "1"]


def test_mlflow_goes_on_in_another_run_when_a_run_goes_back(mlflow_logger: Callable[..., Logger]) -> None:
    logger = mlflow_logger()
    lines(logger, [100, 200, 300, 400])
    logger.finding(200, BACK)
    again = mlflow_logger(images_seen=200)  # killed right after, and continued
    lines(again, [300, 400], value=7)
    again.close("finished")
    first, second = mlflow_runs()
    assert [step for step, _ in mlflow_curve(first)] == [100, 200, 300, 400]
    assert mlflow_curve(second) == [(300, 307.0), (400, 407.0)]
    assert second.data.tags["dermsynth.continues"] == first.info.run_id
    assert BACK in second.data.tags["mlflow.note.content"]
