package dev.weft.core.graph;

import dev.weft.core.cluster.UserException;

/** An op was given arguments whose types do not fit: names op, argument, expected and found. */
public final class ShapeException extends UserException {
  public ShapeException(String message) {
    super(message);
  }
}
