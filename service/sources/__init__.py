"""Where documents come from; each file implements the `Source` port."""
