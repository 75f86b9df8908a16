"""Access to the model provider: an API key in Secrets Manager, or IAM permissions for Bedrock."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra import settings
from infra.foundation.keys import Keys
from infra.iam.grants import Role
from infra.naming.context import DataClass, StackContext
from infrafabric.models.prices import BadPricesError, Price, Prices, Rates

SPEND_LIMIT = (
    "whoever holds the role of a function that asks models can read the model key and spend outside the budgets of "
    "sessions: use a key of a workspace of its own, per region, with the provider's spend limit (docs/models.md)"
)
_ANY_PRICE = Price(rates=Rates(1, 1, 1, 1))
# Id of a cross-region inference profile: the geography in which AWS processes requests, then the model id.
_PROFILE = re.compile(r"^(?P<geography>[a-z]+(?:-[a-z]+)*)\.(?P<model>anthropic\..+)$")


@dataclass(frozen=True, kw_only=True)
class ModelAccessArgs:
    context: StackContext
    keys: Keys
    settings: settings.ModelSettings
    api_key: Output[str] | None = None  # a secret; None: set it with `aws secretsmanager put-secret-value`
    recovery_region: str | None = None  # region of a replica of the secret
    replica_arn: Output[str | None] | None = None  # standby only: replica of the primary's secret in this region


class ModelAccess(ComponentResource):
    """API key secret of the model provider, and grants to invoke models."""

    api_key_secret_arn: Output[str] | None
    provider: str
    agent_id: str
    coordinator_id: str
    agent_max_tokens: int
    coordinator_max_tokens: int

    def __init__(self, name: str, args: ModelAccessArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:model:Model", name, opts=opts)
        self._context, self._keys, self._settings = args.context, args.keys, args.settings
        self.provider = args.settings.provider
        self.agent_id, self.coordinator_id = args.settings.agent_id, args.settings.coordinator_id
        self.agent_max_tokens = args.settings.agent_max_tokens
        self.coordinator_max_tokens = args.settings.coordinator_max_tokens
        self.api_key_secret_arn = None
        if args.settings.provider == "anthropic":
            pulumi.log.info(SPEND_LIMIT, self)
            self.api_key_secret_arn = (
                _require_secret(args.replica_arn) if args.replica_arn else self._secret(name, args)
            )
        self.register_outputs({"api_key_secret_arn": self.api_key_secret_arn})

    def environment(self, model_id: str, *also_priced: str) -> dict[str, Any]:
        """Return the fields of ``ModelEnvironment`` for a function that invokes ``model_id``.

        Args:
            also_priced: other models whose prices the function needs. Prices of further models stay out, because
                Lambda allows 4 KB of variables.
        """
        prices = {
            name: price.model_dump()
            for name, price in self._settings.prices.items()
            if any(_is_price_of(name, used) for used in (model_id, *also_priced))
        }
        return {
            "model_provider": self._settings.provider,
            "model_id": model_id,
            "model_base_url": self._settings.base_url,
            "api_key_secret_arn": self.api_key_secret_arn,
            "price_table": json.dumps(prices) if prices else None,
        }

    def grant_invoke(self, role: Role, model_id: str) -> None:
        """Grant invoking ``model_id``: reading the API key, or Bedrock permissions."""
        if self.api_key_secret_arn is not None:
            role.allow("ReadApiKey", "secretsmanager:GetSecretValue", on=self.api_key_secret_arn)
            self._keys.grant_use(role, "secretsmanager")
        if self._settings.provider == "bedrock":
            self._grant_bedrock(role, model_id)

    def grant_describe_api_key(self, role: Role) -> None:
        """Grant checking that the API key has a value, without reading the value."""
        if self.api_key_secret_arn is not None:
            role.allow("SeeApiKey", "secretsmanager:DescribeSecret", on=self.api_key_secret_arn)

    def _grant_bedrock(self, role: Role, model_id: str) -> None:
        context, profile = self._context, _PROFILE.match(model_id)
        invoke = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
        prefix = f"arn:{context.partition}:bedrock"
        if not profile:
            role.allow("AskModel", *invoke, on=f"{prefix}:{context.region}::foundation-model/{model_id}")
            return
        arn = context.arn("bedrock", f"inference-profile/{model_id}")
        role.allow("AskModel", *invoke, on=arn)
        # The profile chooses the region, so the model is allowed in all regions, but only through the profile.
        through = {"StringEquals": {"bedrock:InferenceProfileArn": arn}}
        role.allow(
            "AskModelThroughProfile", *invoke, on=f"{prefix}:*::foundation-model/{profile['model']}", when=through
        )

    def _secret(self, name: str, args: ModelAccessArgs) -> Output[str]:
        child = ResourceOptions(parent=self)
        secret = aws.secretsmanager.Secret(
            f"{name}-api-key",
            name=args.context.physical_name("anthropic-api-key"),
            description="Key of the Anthropic API; its value is never in the stack's outputs",
            kms_key_id=args.keys.data_arn,
            recovery_window_in_days=self._keys.secret_recovery_days,
            replicas=self._keys.secret_replicas(args.recovery_region),
            tags=args.context.tags("model", DataClass.SECRET),
            opts=child,
        )
        if args.api_key is not None:
            aws.secretsmanager.SecretVersion(
                f"{name}-api-key-value", secret_id=secret.id, secret_string=args.api_key, opts=child
            )
        return secret.arn


def _is_price_of(priced: str, model_id: str) -> bool:
    """Tell whether a price table finds the price of ``model_id`` under the name ``priced``."""
    try:
        Prices({priced: _ANY_PRICE}).of(model_id)
    except BadPricesError:
        return False
    return True


def _require_secret(arn: Output[str | None]) -> Output[str]:
    def known(value: str | None) -> str:
        if value is None:
            raise pulumi.RunError(
                "settings.model.provider = 'anthropic', but the primary stack has another provider: set model.provider "
                "to the primary's, or change the primary and run pulumi up there first"
            )
        return value

    return arn.apply(known)
