"""The Pulumi program: declares the stack that ``Pulumi.<stack>.yaml`` describes."""

import gc

from infra.foundation import packages
from infra.program import stack
from infra.settings import Settings

# By default Python goes through a million living objects again and again, for half of this program's time (prod under
# mocks: 7.4 s, so 5.0). Garbage is still collected, in few passes.
gc.set_threshold(200_000, 50, 100)
packages.require(Settings.load().runtime)
stack()
