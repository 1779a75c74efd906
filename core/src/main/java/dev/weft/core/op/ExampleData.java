package dev.weft.core.op;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Random arguments for the examples of ops; the same for the same seed. */
public final class ExampleData {
  private ExampleData() {}

  /** Arguments in the domains that the example names; floats are numbers of their data type. */
  public static List<Literal> arguments(Example example, long seed) {
    var random = new SplittableRandom(seed);
    var arguments = new ArrayList<Literal>();
    for (Example.Argument argument : example.arguments()) {
      arguments.add(random(argument.type(), argument.domain(), random.split()));
    }
    return arguments;
  }

  /** A tensor of random values within a domain. */
  public static Literal random(TensorType type, Example.Domain domain, SplittableRandom random) {
    int elements = Math.toIntExact(type.elements());
    if (type.dtype().isFloat()) {
      double[] values = new double[elements];
      for (int i = 0; i < elements; i++) {
        double value = domain.low() + random.nextDouble() * (domain.high() - domain.low());
        values[i] = Rounding.round(type.dtype(), value);
      }
      return Literal.of(type, values);
    }
    // Rounded up, so that a domain without zero stays without it.
    long low = (long) Math.ceil(domain.low());
    long high = (long) Math.ceil(domain.high());
    if (type.dtype() == DataType.BOOL) {
      low = 0;
      high = 2;
    }
    long[] values = new long[elements];
    for (int i = 0; i < elements; i++) {
      values[i] = random.nextLong(low, Math.max(low + 1, high));
    }
    return Literal.of(type, values);
  }
}
