"""CSV or Parquet exports as a CRM that can be read, and written as an import file."""
