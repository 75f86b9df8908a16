#!/bin/bash
# Fetches the application's artifact, checks that it is the one that was released, and runs it as a user of its own.
# Values between at-signs are filled in when the stack is deployed.
set -euo pipefail

home=/opt/app
useradd --system --home-dir "$home" --shell /usr/sbin/nologin app
install -d -m 0755 "$home" "$home/release"

# The gateway endpoint brings S3 into the VPC; it may come up a moment after the instance.
for attempt in 1 2 3 4 5; do
  aws s3 cp --only-show-errors --region '@REGION@' 's3://@BUCKET@/@KEY@' "$home/artifact.tar" && break
  if [ "$attempt" = 5 ]; then exit 1; fi
  sleep $((attempt * 5))
done
# What is not what was released is never unpacked: the instance stays unhealthy, and the refresh stops.
echo '@SHA256@  /opt/app/artifact.tar' | sha256sum --check --strict
tar --extract --file "$home/artifact.tar" --directory "$home/release" --no-same-owner
test -x "$home/release/run"

cat > /etc/app.env <<'ENVIRONMENT'
@ENVIRONMENT@
ENVIRONMENT

cat > /etc/systemd/system/app.service <<'UNIT'
[Unit]
Description=The application
After=network-online.target
Wants=network-online.target

[Service]
User=app
Group=app
EnvironmentFile=/etc/app.env
WorkingDirectory=/opt/app/release
ExecStart=/opt/app/release/run
Restart=always
RestartSec=2
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
StateDirectory=app

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now app.service
@SESSION_MANAGER@
