"""A stand-in for both CRMs: one in-memory CRM, two HTTP faces, sample data."""
