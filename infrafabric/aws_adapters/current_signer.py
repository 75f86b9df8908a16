"""Selection of a principal's signing key, message by message: no message is signed with a key that a reader lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infrafabric.aws_adapters.key_registry import TRUSTED_S, KeyRegistry
from infrafabric.bus.signing import KmsClient, KmsSigner
from infrafabric.environment import SigningEnvironment

# Every reader reads the registry again after TRUSTED_S. The rest is for a reader's slow read, and for S3's times, which
# are whole seconds.
TRUSTED_EVERYWHERE_S = TRUSTED_S + 30.0


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """KMS key that signs, and its public half as in the registry."""

    arn: str
    public_key: str


def signing_keys(environment: SigningEnvironment) -> tuple[SigningKey, ...]:
    """Return a function's signing keys: the current one and, during a rotation, the previous one."""
    current = SigningKey(arn=environment.signing_key_arn, public_key=environment.signing_public_key)
    if environment.previous_signing_key_arn is None or environment.previous_signing_public_key is None:
        return (current,)
    previous = SigningKey(arn=environment.previous_signing_key_arn, public_key=environment.previous_signing_public_key)
    return (current, previous)


class CurrentSigner:
    """Signer of a principal for the next message.

    A rotation adds a key to the registry and to the function's environment at the same time, while readers still have
    the registry of before. Until each of them has read the registry again, the previous key signs.
    """

    def __init__(self, kms: KmsClient, *, principal: str, keys: Sequence[SigningKey], registry: KeyRegistry) -> None:
        """Remember the keys, the current one first. AWS is not called before the first message."""
        self._principal, self._registry = principal, registry
        self._signers = [KmsSigner(kms, key_id=key.arn, principal=principal, public_key=key.public_key) for key in keys]

    def __call__(self) -> KmsSigner:
        """Return the signer with the newest key that every reader trusts.

        Raises:
            LookupError: the registry has none of the keys.
            RegistryUnavailableError: the registry cannot be read, and never was.
        """
        registry, age_s = self._registry.last_read()
        trusted = {key.text for key in registry.keys_of(self._principal)}
        signers = [signer for signer in self._signers if signer.public_key in trusted]
        if not signers:
            raise LookupError(
                f"the key registry has no signing key of this version of {self._principal}: the key was retired or "
                "revoked; deploy the stack again if it was not (pulumi up)"
            )
        return signers[0] if age_s >= TRUSTED_EVERYWHERE_S else signers[-1]
