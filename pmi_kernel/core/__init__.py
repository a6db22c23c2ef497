"""What everything else speaks in: records, errors, settings; no engine and no system."""
