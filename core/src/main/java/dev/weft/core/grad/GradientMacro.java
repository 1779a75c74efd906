package dev.weft.core.grad;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import dev.weft.core.op.GraphText;
import dev.weft.core.op.Macro;
import dev.weft.core.op.OpTable;
import dev.weft.core.op.Shard;
import java.util.HashSet;
import java.util.List;
import java.util.Map;

/**
 * {@code %g1, %g2 = gradient(%loss, %w1, %w2)} in the text form: the derivatives of a scalar by
 * some inputs of the graph.
 */
public record GradientMacro() implements Macro {
  /** Reads a graph of Weft's own ops, with gradients expanded. */
  public static Graph parse(String text) {
    return GraphText.parse(text, OpTable.STANDARD, Map.of("gradient", new GradientMacro()));
  }

  /**
   * The same for a text from a file: nodes say the line they stand on, {@code mlp.txt:3}.
   *
   * @param file its name
   */
  public static Graph parse(String text, String file) {
    return GraphText.parse(text, OpTable.STANDARD, Map.of("gradient", new GradientMacro()), file);
  }

  @Override
  public Graph expand(Graph graph, List<Value> operands, int results) {
    if (operands.size() != results + 1) {
      throw new UserException(
          "expected a loss and "
              + results
              + " inputs for "
              + results
              + " results, found "
              + operands);
    }
    Value loss = operands.getFirst();
    if (!loss.dtype().isFloat() || loss.type().rank() != 0) {
      throw new UserException("the loss must be a scalar float, found " + loss);
    }
    List<Value> wanted =
        operands.subList(1, operands.size()).stream().map(v -> Shard.annotated(graph, v)).toList();
    var inputs = new HashSet<>(graph.inputValues());
    for (Value value : wanted) {
      if (!inputs.contains(value) || !value.dtype().isFloat()) {
        throw new UserException("gradients are by float inputs of the graph, found " + value);
      }
    }
    return Autodiff.gradients(graph, loss, wanted, false);
  }
}
