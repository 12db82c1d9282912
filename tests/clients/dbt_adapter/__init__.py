"""dbt's own adapter tests."""
