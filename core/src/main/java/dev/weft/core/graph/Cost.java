package dev.weft.core.graph;

/**
 * What one application of an op costs on any device.
 *
 * @param flops floating point operations
 * @param bytes bytes read and written, every operand once
 */
public record Cost(double flops, double bytes) {
  public static final Cost NONE = new Cost(0, 0);

  public Cost plus(Cost other) {
    return new Cost(flops + other.flops, bytes + other.bytes);
  }

  public Cost times(double factor) {
    return new Cost(flops * factor, bytes * factor);
  }

  /** The given operations, and every input read and output written once. */
  public static Cost streaming(
      double flops, java.util.List<TensorType> inputs, java.util.List<TensorType> outputs) {
    double bytes = 0;
    for (TensorType type : inputs) {
      bytes += type.bytes();
    }
    for (TensorType type : outputs) {
      bytes += type.bytes();
    }
    return new Cost(flops, bytes);
  }
}
