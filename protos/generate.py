"""Write the protobuf classes of the wire directories in authorizer from the .proto files beside this program.

``--check`` writes nothing and exits with 1 if a committed class is not what would be written.
"""

import argparse
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
REPOSITORY = PROTOS.parent
WIRES = (Path("authorizer/discovery/wire"), Path("authorizer/doors/wire"))


def generate(target: Path) -> None:
    """Write all classes and their type stubs below ``target``; raises RuntimeError when a .proto file is refused."""
    sources = [path.relative_to(PROTOS).as_posix() for path in sorted(PROTOS.glob("authorizer/**/*.proto"))]
    well_known = resources.files("grpc_tools") / "_proto"
    arguments = ["protoc", f"-I{PROTOS}", f"-I{well_known}", f"--python_out={target}", f"--pyi_out={target}", *sources]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc refused a file")


def produced(root: Path) -> dict[Path, str]:
    """Read the generated files below ``root``: path from there -> text."""
    return {
        path.relative_to(root): path.read_text("utf-8")
        for wire in WIRES
        for path in (root / wire).glob("*_pb2.py*")
        if path.suffix != ".pyc"
    }


def main() -> int:
    """Write or check; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = produced(Path(scratch))
    committed = produced(REPOSITORY)
    stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    if check:
        for name in stale:
            print(f"{name}: not what the .proto files say; run protos/generate.py")
        return 1 if stale else 0
    for name in stale:
        path = REPOSITORY / name
        if name in fresh:
            path.write_text(fresh[name], "utf-8")
        else:
            path.unlink()
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
