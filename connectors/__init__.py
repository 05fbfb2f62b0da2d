"""Everything that knows a CRM."""
