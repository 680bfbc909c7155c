"""The pure translation from OpenLineage events to Atlas entities: read, unite, translate, settle."""
