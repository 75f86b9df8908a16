"""``make package``: build the code and the dependency layer, and print sizes and digests."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from infra.packager.archive import digest, size_bytes
from infra.packager.build import build, upload_sizes
from infra.packager.staging import RDS_CA, RDS_CA_URL, ROOT, store_certificate_authorities
from infra.packager.target import DEFAULT_TARGET, WHEEL_PLATFORMS, PackagingError, Target


def main() -> int:
    """Build for the target that the command line names; return the exit status."""
    parser = argparse.ArgumentParser(prog="make package", description="Build the code and the dependency layer.")
    parser.add_argument("--python", default=DEFAULT_TARGET.python)
    parser.add_argument("--architecture", choices=sorted(WHEEL_PLATFORMS), default=DEFAULT_TARGET.architecture)
    parser.add_argument("--here", action="store_true", help="build for this machine's interpreter instead")
    parser.add_argument("--rds-ca", type=Path, metavar="FILE", help=f"RDS's certificate authorities: {RDS_CA_URL}")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    args = parser.parse_args()
    target = Target.here() if args.here else Target(python=args.python, architecture=args.architecture)
    try:
        if args.rds_ca:
            store_certificate_authorities(args.rds_ca)
        packages = build(target)
        zipped_bytes = upload_sizes(packages)
    except PackagingError as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    report = {
        name: {
            "path": str(path.relative_to(ROOT)),
            "unzipped_bytes": size_bytes(path),
            "zipped_bytes": zipped_bytes[name],
            "sha256": digest(path),
        }
        for name, path in (("code", packages.code), ("layer", packages.layer))
    }
    if args.json:
        print(json.dumps({"target": target.name, **report}, indent=2))
    else:
        for name, package in report.items():
            size = f"{package['unzipped_bytes'] / 1e6:7.1f} MB unzipped, {package['zipped_bytes'] / 1e6:5.1f} MB zipped"
            print(f"{name:6} {size}  sha256 {package['sha256'][:16]}  {package['path']}")
    if not RDS_CA.exists() and not args.here:
        problem = "without RDS's certificate authorities the recorder will refuse the database"
        print(f"package: {problem}: fetch {RDS_CA_URL}, then make package RDS_CA=global-bundle.pem", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
