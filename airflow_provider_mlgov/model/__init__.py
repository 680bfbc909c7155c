"""Values without I/O: identities, entities, runs and the words of machine learning."""
