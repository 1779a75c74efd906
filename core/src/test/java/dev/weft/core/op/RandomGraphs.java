package dev.weft.core.op;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Well-formed graphs of the examples of all ops, wired together where types fit. */
final class RandomGraphs {
  private RandomGraphs() {}

  static Graph make(long seed) {
    return make(new Random(seed), "random/" + seed, 2);
  }

  private static Graph make(Random random, String name, int depth) {
    var builder = new Builder(name);
    var values = new ArrayList<Value>();
    values.add(builder.input("round", TensorType.scalar(DataType.I64), Graph.Kind.FACT));
    values.add(
        builder.input("x.0", TensorType.of(DataType.F32, 3, 4), pick(random, Graph.Kind.values())));
    int nodes = random.nextInt(8);
    for (int i = 0; i < nodes; i++) {
      if (random.nextBoolean()) {
        builder.origin(
            new Origin(
                "f" + random.nextInt(3),
                pick(random, Role.values()),
                random.nextBoolean() ? "" : "Model.java:" + i));
      } else {
        builder.origin(null);
      }
      if (depth > 0 && random.nextInt(5) == 0) {
        values.addAll(builder.add(repeat(random, depth), List.of(values.get(1))));
      } else {
        add(random, builder, values);
      }
    }
    for (Value value : values) {
      if (value != values.getFirst() && random.nextInt(3) > 0) {
        builder.output(value);
      }
    }
    return builder.build();
  }

  /** A repeat that carries the float input and stacks what it likes. */
  private static Repeat repeat(Random random, int depth) {
    Graph made = make(random, "body", depth - 1);
    var outputs = new ArrayList<Graph.Output>();
    outputs.add(new Graph.Output(made.inputValues().get(1), null));
    outputs.addAll(made.outputs());
    Graph body = new Graph("body", made.inputs(), made.nodes(), outputs);
    return new Repeat(body, 1 + random.nextInt(3), 1, 0, random.nextBoolean());
  }

  private static void add(Random random, Builder builder, List<Value> values) {
    OpEntry entry = OpTable.ENTRIES.get(random.nextInt(OpTable.ENTRIES.size()));
    Example example = entry.examples().get(random.nextInt(entry.examples().size()));
    var arguments = new ArrayList<Value>();
    for (Example.Argument argument : example.arguments()) {
      List<Value> fitting =
          values.stream().filter(value -> value.type().equals(argument.type())).toList();
      if (fitting.isEmpty()) {
        double number =
            argument.type().dtype().isFloat() ? random.nextGaussian() : random.nextInt(2);
        Literal literal = Literal.filled(argument.type(), number);
        arguments.addAll(builder.add(new Constant(literal), List.of()));
      } else {
        arguments.add(fitting.get(random.nextInt(fitting.size())));
      }
    }
    values.addAll(builder.add(example.op(), arguments));
  }

  private static <T> T pick(Random random, T[] values) {
    return values[random.nextInt(values.length)];
  }
}
