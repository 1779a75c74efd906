package dev.weft.engine.program;

import java.util.ArrayList;
import java.util.List;

/** Which operands a command writes. */
final class Targets {
  private Targets() {}

  /** For calls of the library the last tensor argument, which is its out by convention. */
  static List<Operand> of(Command command) {
    return switch (command) {
      case Command.Library library -> {
        var targets = new ArrayList<Operand>();
        library.results().forEach(r -> r.ifPresent(targets::add));
        if (targets.isEmpty() && library.shim()) {
          if (library.arguments().getFirst() instanceof Command.Slot.Tensor(Operand first)) {
            targets.add(first);
          }
        } else if (targets.isEmpty()
            && library.arguments().getLast() instanceof Command.Slot.Tensor(Operand last)) {
          targets.add(last);
        }
        yield targets;
      }
      case Command.Copy copy -> List.of(copy.target());
      case Command.Add add -> List.of(add.target());
      case Command.Subtract subtract -> List.of(subtract.target());
      case Command.LayerNorm norm -> norm.results();
      case Command.RowProduct product -> List.of(product.target());
      case Command.CachedAttention attention -> List.of(attention.target());
      case Command.GeluRow gelu -> List.of(gelu.target());
      case Command.Fill fill -> List.of(fill.target());
      case Command.RandomBits bits -> List.of(bits.target());
      case Command.Begin _ -> List.of();
      case Command.Await await -> await.targets();
      case Command.Dynamic dynamic -> List.of(dynamic.update() ? dynamic.whole() : dynamic.part());
    };
  }
}
