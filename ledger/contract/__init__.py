"""The contract with services in a form that programs read: JSON Schema and AsyncAPI."""
