"""What the catalogue knows, put together for a reader: the lineage of one DAG run, and walks over the whole graph."""
