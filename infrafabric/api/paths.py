"""Path prefixes of the API, one per kind of caller; clients with an API key have the root."""

IAM_PATH = "/iam"  # a caller's own sessions, signed with SigV4 instead of a key
OPERATOR_PATH = "/operator"  # the sessions of all owners, signed with SigV4
SIGNED_PATHS = (IAM_PATH, OPERATOR_PATH)
