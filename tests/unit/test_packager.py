"""Packages: the same bytes from the same sources, ready to run, and no larger than they need to be."""

from __future__ import annotations

import ast
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.packager import build as packager
from infra.packager.archive import digest, size_bytes, zipped
from infra.packager.build import build_code, folders
from infra.packager.staging import BOTO_SERVICES, ROOT
from infra.packager.target import PackagingError, Target, runs_python

HERE = Target.here()
AWS = Target(python="python3.13", architecture="arm64")
# Imports all that a start-up imports, and refuses to compile any module of the package on the way.
STARTS = """
import importlib.machinery, json, sys
folders, modules = json.loads(sys.argv[1]), json.loads(sys.argv[2])
def refuse(self, data, path, *args, **kwargs):
    raise SystemExit(f"{path} would be compiled at start-up")
importlib.machinery.SourceFileLoader.source_to_code = refuse
sys.path[:0] = folders
for module in modules:
    importlib.import_module(module)
ours = [m for m in sys.modules.values() if (getattr(m, "__file__", None) or "").startswith(tuple(folders))]
print(len(ours))
"""


def sources(folder: Path, mtime: int) -> Path:
    """A copy of what is packaged, with mtimes of its own and with what tools leave lying about."""
    for package in ("infrafabric", "lambdas"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*"):
        os.utime(path, (mtime, mtime))
    return folder


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / "code"
    build_code(HERE, folder)
    return folder


@pytest.fixture(scope="module")
def layer() -> Path:
    """Built once for this machine, and kept for the platform that runs on it."""
    return packager.build(HERE).layer


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


# -- the same bytes ---------------------------------------------------------------------------------------------------


def test_two_builds_of_the_same_sources_are_the_same(tmp_path: Path) -> None:
    one, other = sources(tmp_path / "one", 1_000_000_000), sources(tmp_path / "a" / "deeper" / "place", 1_700_000_000)
    (other / "infrafabric" / "__pycache__").mkdir()
    for junk in ("__pycache__/x.cpython-39.pyc", ".DS_Store", "core.py~", ".bus.py.swp", "py.typed.orig"):
        (other / "infrafabric" / junk).write_bytes(b"junk")
    build_code(HERE, tmp_path / "built" / "code", one)
    build_code(HERE, tmp_path / "elsewhere" / "code", other)
    assert digest(tmp_path / "built" / "code") == digest(tmp_path / "elsewhere" / "code")


def test_a_second_build_of_the_same_sources_leaves_the_files_that_a_deployment_may_be_reading(tmp_path: Path) -> None:
    build_code(HERE, tmp_path / "code")
    file = tmp_path / "code" / "infrafabric" / "backoff.py"
    before = file.stat()
    build_code(HERE, tmp_path / "code")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    (tmp_path / "code" / "left-behind.py").write_text("")
    build_code(HERE, tmp_path / "code")
    assert not (tmp_path / "code" / "left-behind.py").exists(), "another content is replaced as a whole"


def test_a_changed_source_changes_the_digest(tmp_path: Path, code: Path) -> None:
    changed = sources(tmp_path / "sources", 1_000_000_000)
    with (changed / "infrafabric" / "backoff.py").open("a") as source:
        source.write("# changed\n")
    build_code(HERE, tmp_path / "code", changed)
    assert digest(tmp_path / "code") != digest(code)


def test_a_renamed_file_changes_the_digest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("the same")
    assert digest(tmp_path / "a") != digest(tmp_path / "b")


@pytest.mark.skipif(
    shutil.which(AWS.python) is None or not runs_python(AWS.python, AWS.python),
    reason=f"byte code for {AWS.python} needs {AWS.python} on the PATH",
)
def test_a_package_for_aws_has_byte_code_of_its_runtime(tmp_path: Path) -> None:
    for name in ("one", "other"):
        build_code(AWS, tmp_path / name)
    assert digest(tmp_path / "one") == digest(tmp_path / "other")
    compiled = list((tmp_path / "one").rglob("*.pyc"))
    assert compiled
    assert {path.name.split(".")[1] for path in compiled} == {"cpython-313"}


def test_a_zip_depends_on_nothing_but_its_content(tmp_path: Path) -> None:
    for name, mtime in (("one", 1_000_000_000), ("other", 1_700_000_000)):
        (tmp_path / name / "layer-3.11").mkdir(parents=True)
        for file in ("b", "a"):
            (tmp_path / name / "layer-3.11" / file).write_text(file)
            os.utime(tmp_path / name / "layer-3.11" / file, (mtime, mtime))
    one, other = (zipped(tmp_path / name / "layer-3.11") for name in ("one", "other"))
    assert one.name == "layer-3.11.zip"
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as packed:
        assert packed.namelist() == ["a", "b"]
        assert {entry.external_attr >> 16 for entry in packed.infolist()} == {0o644}


def test_a_zip_is_made_anew_only_when_its_folder_was(tmp_path: Path) -> None:
    build_code(HERE, tmp_path / "code")
    first = zipped(tmp_path / "code").stat().st_mtime_ns
    assert zipped(tmp_path / "code").stat().st_mtime_ns == first
    build_code(HERE, tmp_path / "code")
    assert zipped(tmp_path / "code").stat().st_mtime_ns == first, "the same content is the same folder"
    (tmp_path / "code" / "left-behind.py").write_text("")
    build_code(HERE, tmp_path / "code")
    assert zipped(tmp_path / "code").stat().st_mtime_ns != first
    assert {path.name for path in tmp_path.iterdir()} == {"code", "code.zip", "code.zip.key"}, "nothing is left over"


# -- ready to run -----------------------------------------------------------------------------------------------------


def uncompiled(folder: Path) -> list[str]:
    """Modules without byte code, or with byte code that is checked against the source."""
    tag = f"{sys.implementation.cache_tag}.pyc"
    found = []
    for source in folder.rglob("*.py"):
        compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}"
        if not compiled.exists() or compiled.read_bytes()[4:8] != b"\x01\0\0\0":  # PEP 552: by hash, unchecked
            found.append(source.relative_to(folder).as_posix())
    return found


def start(folders_: list[Path], modules: list[str]) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that sees the standard library and these folders, and writes no byte code."""
    base = getattr(sys, "_base_executable", sys.executable)
    arguments = [json.dumps([str(folder) for folder in folders_]), json.dumps(modules)]
    command = [base, "-I", "-S", "-B", "-c", STARTS, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_module_of_the_code_has_byte_code_that_is_never_checked(code: Path) -> None:
    assert uncompiled(code) == []


def test_the_code_starts_without_compiling(code: Path) -> None:
    done = start([code], ["infrafabric.backoff", "infrafabric.concurrency"])
    assert (done.returncode, done.stderr) == (0, "")


def test_a_module_without_byte_code_would_be_noticed(tmp_path: Path, code: Path) -> None:
    shutil.copytree(code, tmp_path / "code")
    next((tmp_path / "code" / "infrafabric" / "__pycache__").glob("backoff.*.pyc")).unlink()
    assert uncompiled(tmp_path / "code") == ["infrafabric/backoff.py"]
    assert "backoff.py would be compiled" in start([tmp_path / "code"], ["infrafabric.backoff"]).stderr


def test_byte_code_names_the_place_where_lambda_puts_it(code: Path) -> None:
    compiled = next((code / "infrafabric" / "__pycache__").glob("backoff.*.pyc")).read_bytes()
    assert b"/var/task/infrafabric/backoff.py" in compiled
    assert str(code.parent).encode() not in compiled


def test_what_is_not_python_but_needed_is_there(code: Path) -> None:
    assert (code / "infrafabric" / "models" / "templates" / "agent.md").is_file()
    assert list(code.rglob("*.sql")), "the migrations"
    for handler in ("agent", "api", "coordinator", "recorder"):
        assert (code / "lambdas" / handler / "handler.py").is_file()


def test_operators_tools_stay_at_home(code: Path) -> None:
    assert not (code / "infrafabric" / "cli").exists()
    assert {path.name for path in code.iterdir()} == {"infrafabric", "lambdas"}


@pytest.mark.usefixtures("strict_umask")
def test_lambda_can_read_what_a_strict_umask_made(tmp_path: Path) -> None:
    build_code(HERE, tmp_path / "code")
    for path in (tmp_path / "code", *(tmp_path / "code").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)


# -- no larger than needed --------------------------------------------------------------------------------------------


def clients_of(folder: Path) -> set[str]:
    """The services that some ``client("…")`` below ``folder`` names."""
    found = set()
    for source in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            called = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if (
                isinstance(node, ast.Call)
                and called == "client"
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(str(node.args[0].value))
    return found


def test_the_clients_that_are_kept_are_those_that_functions_use(code: Path) -> None:
    assert clients_of(code) == set(BOTO_SERVICES)


def test_the_code_is_small(code: Path) -> None:
    assert size_bytes(code) < 1_500_000


def test_the_layer_leaves_most_of_lambdas_limit_free(layer: Path) -> None:
    assert 20_000_000 < size_bytes(layer) < 100_000_000
    assert packager.LIMIT_BYTES == 262_144_000, "250 MB unzipped, function and layers together"


def test_archives_fit_a_direct_upload_and_a_larger_one_is_refused(
    code: Path, layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = packager.Packages(code=code, layer=layer)
    sizes = packager.upload_sizes(packages)
    assert set(sizes) == {code.name, layer.name}
    assert max(sizes.values()) < packager.UPLOAD_LIMIT_BYTES == 52_428_800
    monkeypatch.setattr(packager, "UPLOAD_LIMIT_BYTES", 1_000)
    with pytest.raises(PackagingError, match=r"bytes zipped; Lambda takes 1,000 in a direct upload: drop a dependency"):
        packager.upload_sizes(packages)


def test_the_layer_holds_no_clients_beyond_those_used(layer: Path) -> None:
    for data in (layer / "python" / "botocore" / "data", layer / "python" / "boto3" / "data"):
        assert {model.name for model in data.iterdir() if model.is_dir()} <= set(BOTO_SERVICES)


def test_the_layer_holds_nothing_that_differs_between_two_installs(layer: Path) -> None:
    site = layer / "python"
    assert not (site / "bin").exists(), "scripts name this machine's interpreter"
    for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        assert not list(site.glob(f"*.dist-info/{name}"))


def test_every_module_of_the_layer_has_byte_code_that_is_never_checked(layer: Path) -> None:
    assert uncompiled(layer) == []


def test_code_and_layer_start_without_compiling_and_without_anything_installed(code: Path, layer: Path) -> None:
    modules = [
        "infrafabric.swarm.task_worker",
        "infrafabric.swarm.coordinator",
        "infrafabric.aws_adapters.publisher",
        "infrafabric.telemetry",
        "infrafabric.models.calling",
        "infrafabric.recorder.connect",
    ]
    done = start([code, layer / "python"], modules)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 1000, "the SDK alone has more modules"


# -- what cannot be built ---------------------------------------------------------------------------------------------


def test_a_runtime_that_is_not_installed_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PackagingError) as refused:
        build_code(Target(python="python3.99", architecture="arm64"), tmp_path / "code")
    assert str(refused.value).startswith("python3.99 is not on the PATH")
    assert "infrafabric:settings.runtime.python" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_shim_that_runs_nothing_counts_as_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\necho 'no such version' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(PackagingError, match=r"python3\.99 is not on the PATH"):
        build_code(Target(python="python3.99", architecture="arm64"), tmp_path / "code")


def test_an_architecture_that_lambda_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="architecture 'riscv64': Lambda has arm64 and x86_64"):
        build_code(Target(python=HERE.python, architecture="riscv64"), tmp_path / "code")


def test_a_source_that_does_not_compile_leaves_the_old_package_whole(tmp_path: Path) -> None:
    good = sources(tmp_path / "sources", 1_000_000_000)
    build_code(HERE, tmp_path / "out" / "code", good)
    before = digest(tmp_path / "out" / "code")
    (good / "infrafabric" / "broken.py").write_text("def (")
    with pytest.raises(PackagingError, match="byte code cannot be compiled"):
        build_code(HERE, tmp_path / "out" / "code", good)
    assert digest(tmp_path / "out" / "code") == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["code"], "nothing is left over"


def test_packages_of_different_targets_lie_apart(tmp_path: Path) -> None:
    assert folders(HERE, tmp_path).code != folders(AWS, tmp_path).code
    assert folders(AWS, tmp_path).layer == tmp_path / "python3.13-arm64" / "layer"
