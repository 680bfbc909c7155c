"""Lineage of data, models and deployments from Apache Airflow into Apache Atlas.

Importing this package costs next to nothing: it touches neither network nor disk, and loads none of its own modules.
"""

__version__ = "0.1.0"
