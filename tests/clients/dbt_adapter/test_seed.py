"""Seeds, copies, aliases, --empty."""

# ruff: noqa: F401
from dbt.tests.adapter.aliases.test_aliases import (
    TestAliasErrors,
    TestAliases,
    TestSameAliasDifferentSchemas,
)
from dbt.tests.adapter.empty.test_empty import TestEmpty
from dbt.tests.adapter.simple_copy.test_simple_copy import (
    TestEmptyModelsArentRun,
    TestSimpleCopyBase,
)
from dbt.tests.adapter.simple_seed.test_seed import (
    TestBasicSeedTests,
    TestEmptySeed,
    TestSeedConfigFullRefreshOff,
    TestSeedConfigFullRefreshOn,
    TestSeedCustomSchema,
    TestSeedParsing,
    TestSeedSpecificFormats,
    TestSeedWithEmptyDelimiter,
    TestSeedWithUniqueDelimiter,
    TestSeedWithWrongDelimiter,
    TestSimpleSeedEnabledViaConfig,
)
from dbt.tests.adapter.simple_seed.test_seed_type_override import TestSimpleSeedColumnOverride
