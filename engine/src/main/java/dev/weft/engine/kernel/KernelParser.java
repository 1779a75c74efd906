package dev.weft.engine.kernel;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Reads one call. */
final class KernelParser {
  private final String text;
  private int position;

  KernelParser(String text) {
    this.text = text;
  }

  KernelCall call() {
    String target = word();
    expect("::");
    String name = word();
    String overload = accept(".") ? word() : "";
    expect("(");
    var arguments = new ArrayList<KernelArgument>();
    while (!accept(")")) {
      if (!arguments.isEmpty()) {
        expect(",");
      }
      arguments.add(argument());
    }
    var results = new ArrayList<Optional<TensorExpression.Name>>();
    if (accept("->")) {
      do {
        results.add(
            accept("_") ? Optional.empty() : Optional.of((TensorExpression.Name) name(word())));
      } while (accept(","));
    }
    skip();
    if (position < text.length()) {
      throw failure("the end");
    }
    KernelCall.Target who;
    try {
      who = KernelCall.Target.valueOf(target.toUpperCase(Locale.ROOT));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "unknown target " + target + " in kernel '" + text + "'", e);
    }
    return new KernelCall(who, name, overload, arguments, results);
  }

  private KernelArgument argument() {
    skip();
    if (accept("&")) {
      return new KernelArgument.Given(argument());
    }
    if (accept("\"")) {
      int end = text.indexOf('"', position);
      String string = text.substring(position, end);
      position = end + 1;
      return new KernelArgument.Text(string);
    }
    if (accept("{")) {
      var tensors = new ArrayList<TensorExpression>();
      while (!accept("}")) {
        if (!tensors.isEmpty()) {
          expect(",");
        }
        tensors.add(tensor(word()));
      }
      return new KernelArgument.Tensors(tensors);
    }
    if (accept("[")) {
      return list();
    }
    if (isNumber()) {
      return number();
    }
    String word = word();
    if (accept("=")) {
      return argument();
    }
    return switch (word) {
      case "true" -> new KernelArgument.Truth(true);
      case "false" -> new KernelArgument.Truth(false);
      case "none" -> new KernelArgument.None();
      case "Infinity" -> new KernelArgument.Real(Double.POSITIVE_INFINITY);
      case "NaN" -> new KernelArgument.Real(Double.NaN);
      default -> {
        @Nullable DataType type = dataType(word);
        yield type != null
            ? new KernelArgument.Type(type)
            : new KernelArgument.Tensor(tensor(word));
      }
    };
  }

  private KernelArgument list() {
    var longs = new ArrayList<Long>();
    var truths = new ArrayList<Boolean>();
    while (!accept("]")) {
      if (!longs.isEmpty() || !truths.isEmpty()) {
        expect(",");
      }
      if (accept("true")) {
        truths.add(true);
      } else if (accept("false")) {
        truths.add(false);
      } else if (number() instanceof KernelArgument.Whole(long value)) {
        longs.add(value);
      } else {
        throw failure("a whole number");
      }
    }
    return truths.isEmpty() ? new KernelArgument.Longs(longs) : new KernelArgument.Truths(truths);
  }

  private List<Long> longs() {
    expect("[");
    if (list() instanceof KernelArgument.Longs(List<Long> values)) {
      return values;
    }
    throw failure("a list of whole numbers");
  }

  private TensorExpression tensor(String word) {
    return switch (word) {
      case "view" -> {
        expect("(");
        TensorExpression inner = tensor(word());
        expect(",");
        List<Long> sizes = longs();
        expect(")");
        yield new TensorExpression.View(inner, sizes);
      }
      case "slice" -> {
        expect("(");
        TensorExpression inner = tensor(word());
        expect(",");
        List<Long> starts = longs();
        expect(",");
        List<Long> limits = longs();
        expect(",");
        List<Long> strides = longs();
        expect(")");
        yield new TensorExpression.Part(inner, starts, limits, strides);
      }
      case "transposed" -> {
        expect("(");
        TensorExpression inner = tensor(word());
        expect(")");
        yield new TensorExpression.Transposed(inner);
      }
      case "contiguous" -> {
        expect("(");
        TensorExpression inner = tensor(word());
        expect(")");
        yield new TensorExpression.Contiguous(inner);
      }
      case "scalar" -> {
        expect("(");
        double value =
            switch (number()) {
              case KernelArgument.Whole(long whole) -> whole;
              case KernelArgument.Real(double real) -> real;
              default -> throw failure("a number");
            };
        DataType dtype = accept(",") ? DataType.parse(word()) : DataType.F64;
        expect(")");
        yield new TensorExpression.Number(value, dtype);
      }
      default -> name(word);
    };
  }

  private TensorExpression name(String word) {
    if (word.equals("b")) {
      return new TensorExpression.Name(TensorExpression.Kind.BASE, 0, null);
    }
    if (!word.matches("[xyt]\\d+")) {
      throw new IllegalArgumentException(
          "no tensor is named " + word + " in kernel '" + text + "'");
    }
    TensorExpression.Kind kind =
        switch (word.charAt(0)) {
          case 'x' -> TensorExpression.Kind.INPUT;
          case 'y' -> TensorExpression.Kind.OUTPUT;
          default -> TensorExpression.Kind.TEMPORARY;
        };
    TensorType type = null;
    if (accept(":")) {
      skip();
      int end = text.indexOf(']', position) + 1;
      type = TensorType.parse(text.substring(position, end));
      position = end;
    }
    return new TensorExpression.Name(kind, Integer.parseInt(word.substring(1)), type);
  }

  private static @Nullable DataType dataType(String word) {
    for (DataType type : DataType.values()) {
      if (type.text().equals(word)) {
        return type;
      }
    }
    return null;
  }

  private boolean isNumber() {
    skip();
    if (position >= text.length()) {
      return false;
    }
    char next = text.charAt(position);
    return Character.isDigit(next) || next == '-' || next == '.';
  }

  private KernelArgument number() {
    skip();
    int start = position;
    if (position < text.length() && text.charAt(position) == '-') {
      position++;
    }
    if (accept("Infinity")) {
      return new KernelArgument.Real(Double.NEGATIVE_INFINITY);
    }
    while (position < text.length()
        && (Character.isLetterOrDigit(text.charAt(position))
            || text.charAt(position) == '.'
            || (text.charAt(position) == '-'
                && Character.toUpperCase(text.charAt(position - 1)) == 'E'))) {
      position++;
    }
    String digits = text.substring(start, position);
    try {
      return digits.matches("-?\\d+")
          ? new KernelArgument.Whole(Long.parseLong(digits))
          : new KernelArgument.Real(Double.parseDouble(digits));
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "'" + digits + "' is no number in kernel '" + text + "'", e);
    }
  }

  private String word() {
    skip();
    int start = position;
    while (position < text.length()
        && (Character.isLetterOrDigit(text.charAt(position)) || text.charAt(position) == '_')) {
      position++;
    }
    if (start == position) {
      throw failure("a name");
    }
    return text.substring(start, position);
  }

  private boolean accept(String token) {
    skip();
    if (text.startsWith(token, position)) {
      position += token.length();
      return true;
    }
    return false;
  }

  private void expect(String token) {
    if (!accept(token)) {
      throw failure("'" + token + "'");
    }
  }

  private void skip() {
    while (position < text.length() && Character.isWhitespace(text.charAt(position))) {
      position++;
    }
  }

  private IllegalArgumentException failure(String expected) {
    return new IllegalArgumentException(
        "expected " + expected + " at column " + position + " of kernel '" + text + "'");
  }
}
