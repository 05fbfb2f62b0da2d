"""The Salesforce face of the sandbox: SOQL, REST, Collections and Bulk 2.0 over the one CRM."""
