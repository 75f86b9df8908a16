
# Without NAT the way out is IPv6, where Systems Manager has names of its own.
cat > /etc/amazon/ssm/amazon-ssm-agent.json <<'AGENT'
{
  "Mds": {"Endpoint": "ec2messages.@REGION@.api.aws"},
  "Mgs": {"Endpoint": "ssmmessages.@REGION@.api.aws"},
  "Ssm": {"Endpoint": "ssm.@REGION@.api.aws"}
}
AGENT
systemctl restart amazon-ssm-agent
