package dev.weft.engine.program;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** Commands as a reader of a profile wants them: the kernel and the shapes. */
final class CommandText {
  private CommandText() {}

  static String of(Command command) {
    return switch (command) {
      case Command.Library library -> {
        var shapes = new ArrayList<String>();
        library.arguments().forEach(slot -> collect(slot, shapes));
        yield library.name() + " " + String.join(" ", shapes);
      }
      case Command.Copy copy -> text("copy", copy.target(), copy.source());
      case Command.Add add ->
          add.target().same(add.left()) || add.target().same(add.right())
              ? text("add in place", add.left(), add.right())
              : text("add", add.left(), add.right());
      case Command.Subtract subtract -> text("subtract", subtract.left(), subtract.right());
      case Command.LayerNorm norm -> text("layer norm", norm.row());
      case Command.RowProduct product -> text("row product", product.row(), product.matrix());
      case Command.CachedAttention attention ->
          text("cached attention", attention.query(), attention.keys());
      case Command.GeluRow gelu -> text("gelu of a row", gelu.source());
      case Command.Fill fill -> text("fill", fill.target());
      case Command.RandomBits bits -> text("random bits", bits.target());
      case Command.Dynamic dynamic ->
          text(dynamic.update() ? "dynamic update" : "dynamic slice", dynamic.part());
      case Command.Begin begin -> text("begin " + begin.op().kind(), begin.sources().getFirst());
      case Command.Await await -> text("await a collective", await.targets().getFirst());
    };
  }

  private static void collect(Command.Slot slot, List<String> shapes) {
    switch (slot) {
      case Command.Slot.Tensor(Operand operand) -> shapes.add(text(operand));
      case Command.Slot.Tensors(List<Operand> operands) ->
          shapes.add(
              operands.stream().map(CommandText::text).collect(Collectors.joining(" ", "{", "}")));
      case Command.Slot.Given(Command.Slot inner) -> collect(inner, shapes);
      case Command.Slot.Plain _ -> {}
    }
  }

  private static String text(String name, Operand... operands) {
    return java.util.Arrays.stream(operands)
        .map(CommandText::text)
        .collect(Collectors.joining(" ", name + " ", ""));
  }

  /** Shape, and {@code '} where the last two dims are exchanged, {@code ~} for other strides. */
  private static String text(Operand operand) {
    long[] strides = operand.layout().strides();
    int rank = strides.length;
    String mark =
        operand.layout().isContiguous()
            ? ""
            : rank >= 2 && strides[rank - 1] > 1 && strides[rank - 2] == 1 ? "'" : "~";
    return operand.shape() + mark;
  }
}
