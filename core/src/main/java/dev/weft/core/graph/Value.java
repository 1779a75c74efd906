package dev.weft.core.graph;

/**
 * One tensor in a graph: an input, or an output of a node. Values are compared by identity; the
 * name is unique in its graph and serves the text form and messages.
 */
public final class Value {
  private final String name;
  private final TensorType type;

  public Value(String name, TensorType type) {
    this.name = name;
    this.type = type;
  }

  public String name() {
    return name;
  }

  public TensorType type() {
    return type;
  }

  public DataType dtype() {
    return type.dtype();
  }

  public Shape shape() {
    return type.shape();
  }

  /** {@code %name: f32[2,3]}. */
  @Override
  public String toString() {
    return "%" + name + ": " + type;
  }
}
