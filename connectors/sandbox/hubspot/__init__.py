"""The HubSpot face of the sandbox: HubSpot's wire protocol over the in-memory CRM."""
