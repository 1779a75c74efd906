package dev.weft.core.op;

import dev.weft.core.cluster.DimSpec;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Spec;
import dev.weft.core.cluster.Suggestion;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** How the attributes of ops, the components of their records, stand in text. */
final class AttributeCodec {
  private static final Pattern NUMBER = Pattern.compile("-?[0-9]+(\\.[0-9]+)?([eE]-?[0-9]+)?");

  /** The most elements that texts may ask for beyond what they spell out. */
  private static final int LARGEST = 1 << 24;

  private static final int HIGHEST_RANK = 64;

  private final TextScanner scanner;
  private final Supplier<Graph> nested;
  private int room = LARGEST;

  AttributeCodec(TextScanner scanner, Supplier<Graph> nested) {
    this.scanner = scanner;
    this.nested = nested;
  }

  /** One attribute of an op. */
  record Attribute(String name, RecordComponent component) {
    Object of(Op op) {
      try {
        component.getAccessor().setAccessible(true);
        return component.getAccessor().invoke(op);
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException(op.name() + ": cannot read attribute " + name, e);
      }
    }
  }

  /**
   * The attributes of an op, in the order of its record.
   *
   * @throws IllegalArgumentException if the op is no record
   */
  static List<Attribute> attributes(Class<? extends Op> op) {
    RecordComponent[] components = op.getRecordComponents();
    if (components == null) {
      throw new IllegalArgumentException(op.getName() + " must be a record to have a text form");
    }
    return Arrays.stream(components).map(c -> new Attribute(c.getName(), c)).toList();
  }

  /** Any attribute but a graph. */
  static String print(@Nullable Object value) {
    return switch (value) {
      case null -> "none";
      case String text -> TextScanner.quote(text);
      case Enum<?> constant -> constant.name().toLowerCase(Locale.ROOT);
      case List<?> list ->
          list.stream().map(AttributeCodec::print).collect(Collectors.joining(",", "[", "]"));
      case Optional<?> optional -> optional.map(AttributeCodec::print).orElse("none");
      case Boolean b -> b.toString();
      case Number number -> number.toString();
      case Shape shape -> shape.toString();
      case TensorType type -> type.toString();
      case Literal literal -> literal.toString();
      case Spec spec -> spec.toString();
      case MeshAxis axis -> axis.toString();
      default ->
          throw new IllegalArgumentException(
              "an attribute of " + value.getClass() + " has no text form");
    };
  }

  /** Reads the attributes up to the closing parenthesis, in any order, and makes the op. */
  Op read(String opName, Class<? extends Op> op, int opOffset) {
    List<Attribute> attributes = attributes(op);
    List<String> names = attributes.stream().map(Attribute::name).toList();
    @Nullable Object[] values = new @Nullable Object[names.size()];
    boolean[] given = new boolean[names.size()];
    while (!scanner.at(')')) {
      int offset = scanner.offset();
      String name = scanner.word("an attribute of " + opName + " or ')'");
      int index = names.indexOf(name);
      if (index < 0) {
        throw scanner.failure(
            offset,
            "%s has no attribute '%s'%s; it has %s"
                .formatted(opName, name, Suggestion.hint(name, names), names));
      }
      if (given[index]) {
        throw scanner.failure(offset, "attribute '" + name + "' is given twice");
      }
      scanner.expect('=', "after attribute '" + name + "'");
      RecordComponent component = attributes.get(index).component();
      boolean nullable = component.getAnnotatedType().isAnnotationPresent(Nullable.class);
      values[index] =
          nullable && scanner.takeWord("none") ? null : value(component.getGenericType());
      given[index] = true;
      if (!scanner.take(',') && !scanner.at(')')) {
        throw scanner.expected("',' or ')' after attribute '" + name + "'");
      }
    }
    for (int i = 0; i < given.length; i++) {
      if (!given[i]) {
        throw scanner.expected("attribute '" + names.get(i) + "' of " + opName);
      }
    }
    return make(opName, op, values, opOffset);
  }

  private Op make(String opName, Class<? extends Op> op, @Nullable Object[] values, int offset) {
    Class<?>[] types =
        Arrays.stream(op.getRecordComponents())
            .map(RecordComponent::getType)
            .toArray(Class<?>[]::new);
    try {
      Constructor<? extends Op> constructor = op.getDeclaredConstructor(types);
      constructor.setAccessible(true);
      return constructor.newInstance(values);
    } catch (InvocationTargetException e) {
      // Attributes that the record itself refuses: the text is at fault.
      throw scanner.failure(offset, opName + ": " + e.getTargetException().getMessage(), e);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("cannot make op " + opName, e);
    }
  }

  private Object value(Type type) {
    if (type instanceof ParameterizedType generic) {
      Type inner = generic.getActualTypeArguments()[0];
      if (generic.getRawType() == List.class) {
        return list(inner);
      }
      if (generic.getRawType() == Optional.class) {
        return scanner.takeWord("none") ? Optional.empty() : Optional.of(value(inner));
      }
    }
    if (!(type instanceof Class<?> raw)) {
      throw new IllegalStateException("an attribute of " + type + " has no text form");
    }
    if (raw.isEnum()) {
      return scanner.oneOf(
          "attribute",
          Arrays.asList(raw.getEnumConstants()),
          constant -> ((Enum<?>) constant).name().toLowerCase(Locale.ROOT));
    }
    return switch (raw.getSimpleName()) {
      case "int", "Integer" -> (int) whole(Integer.MIN_VALUE, Integer.MAX_VALUE);
      case "long", "Long" -> whole(Long.MIN_VALUE, Long.MAX_VALUE);
      case "double", "Double" -> number();
      case "boolean", "Boolean" -> truth();
      case "String" -> scanner.quoted("a text in quotes");
      case "Shape" -> shape();
      case "TensorType" -> tensorType();
      case "Literal" -> literal();
      case "Spec" -> given(this::spec);
      case "MeshAxis" -> axis();
      case "Graph" -> nested.get();
      default -> throw new IllegalStateException("an attribute of " + type + " has no text form");
    };
  }

  private List<Object> list(Type inner) {
    scanner.expect('[', "before a list");
    var list = new ArrayList<Object>();
    while (!scanner.take(']')) {
      list.add(value(inner));
      if (!scanner.take(',') && !scanner.at(']')) {
        throw scanner.expected("',' or ']' in a list");
      }
    }
    return list;
  }

  /** What a reader gives; its complaints say where. */
  private <T> T given(Supplier<T> reader) {
    int offset = scanner.offset();
    try {
      return reader.get();
    } catch (GraphTextException e) {
      throw e;
    } catch (UserException e) {
      throw scanner.failure(offset, String.valueOf(e.getMessage()), e);
    }
  }

  /** How a tensor is split, {@code [{data},{},?]}. */
  Spec spec() {
    scanner.expect('[', "before a sharding");
    var dims = new ArrayList<DimSpec>();
    while (!scanner.take(']')) {
      dims.add(dimSpec());
      if (!scanner.take(',') && !scanner.at(']')) {
        throw scanner.expected("',' or ']' in a sharding");
      }
    }
    return new Spec(dims);
  }

  private DimSpec dimSpec() {
    if (scanner.take('?')) {
      return DimSpec.OPEN;
    }
    if (!scanner.take('{')) {
      throw scanner.expected("{axes}, {} or ? for a dim of a sharding");
    }
    var axes = new ArrayList<String>();
    while (!scanner.take('}')) {
      axes.add(scanner.word("the name of a mesh axis"));
      if (!scanner.take(',') && !scanner.at('}')) {
        throw scanner.expected("',' or '}' among the mesh axes of a dim");
      }
    }
    return new DimSpec.Split(axes);
  }

  MeshAxis axis() {
    String name = scanner.word("the name of a mesh axis");
    scanner.expect('=', "and a size after mesh axis " + name);
    return new MeshAxis(name, (int) whole(1, Integer.MAX_VALUE));
  }

  private boolean truth() {
    if (scanner.takeWord("true")) {
      return true;
    }
    if (scanner.takeWord("false")) {
      return false;
    }
    throw scanner.expected("true or false");
  }

  long whole(long least, long most) {
    int offset = scanner.offset();
    String word = scanner.word("a whole number");
    try {
      long number = Long.parseLong(word);
      if (number >= least && number <= most) {
        return number;
      }
    } catch (NumberFormatException e) {
      // Reported below, with numbers that are too large.
    }
    throw scanner.failure(
        offset,
        "expected a whole number from "
            + least
            + " to "
            + most
            + ", found "
            + TextScanner.cut(word));
  }

  private double number() {
    int offset = scanner.offset();
    String word = scanner.word("a number");
    return switch (word) {
      case "NaN", "nan" -> Double.NaN;
      case "Infinity", "inf" -> Double.POSITIVE_INFINITY;
      case "-Infinity", "-inf" -> Double.NEGATIVE_INFINITY;
      default -> {
        if (!NUMBER.matcher(word).matches()) {
          throw scanner.failure(offset, "expected a number, found " + TextScanner.cut(word));
        }
        yield Double.parseDouble(word);
      }
    };
  }

  private Shape shape() {
    scanner.expect('[', "before the sizes of a shape");
    int offset = scanner.offset();
    long elements = 1;
    var sizes = new ArrayList<Long>();
    while (!scanner.take(']')) {
      long size = whole(0, Long.MAX_VALUE);
      sizes.add(size);
      try {
        // Eight bytes per element is the most that a type needs.
        elements = Math.multiplyExact(elements, size);
        Math.multiplyExact(elements, 8L);
      } catch (ArithmeticException e) {
        throw scanner.failure(offset, "this shape has more elements than can be counted", e);
      }
      if (sizes.size() > HIGHEST_RANK) {
        throw scanner.failure(offset, "a tensor has at most " + HIGHEST_RANK + " dims");
      }
      if (!scanner.take(',') && !scanner.at(']')) {
        throw scanner.expected("',' or ']' in a shape");
      }
    }
    return Shape.of(sizes.stream().mapToLong(Long::longValue).toArray());
  }

  /** A type as in {@code f32[2,3]}. */
  TensorType tensorType() {
    return new TensorType(
        scanner.oneOf("data type", List.of(DataType.values()), DataType::text), shape());
  }

  /** A type and its values; one value stands for all. */
  private Literal literal() {
    int offset = scanner.offset();
    TensorType type = tensorType();
    scanner.expect('{', "before the values of " + type);
    double[] doubles = new double[8];
    long[] longs = new long[8];
    int count = 0;
    while (!scanner.take('}')) {
      if (type.dtype().isFloat()) {
        if (count == doubles.length) {
          doubles = Arrays.copyOf(doubles, 2 * count);
        }
        doubles[count++] = number();
      } else {
        if (count == longs.length) {
          longs = Arrays.copyOf(longs, 2 * count);
        }
        longs[count++] = integer(type.dtype());
      }
      if (!scanner.take(',') && !scanner.at('}')) {
        throw scanner.expected("',' or '}' among the values of " + type);
      }
    }
    if (count != type.elements()) {
      if (count != 1) {
        throw scanner.failure(
            offset,
            "expected %d values for %s, or one, found %d".formatted(type.elements(), type, count));
      }
      if (type.elements() > room) {
        throw scanner.failure(
            offset, type + " is too large for a constant; broadcast a smaller one");
      }
      room -= (int) type.elements();
      double first = doubles[0];
      long firstLong = longs[0];
      count = (int) type.elements();
      doubles = new double[type.dtype().isFloat() ? count : 0];
      longs = new long[type.dtype().isFloat() ? 0 : count];
      Arrays.fill(doubles, first);
      Arrays.fill(longs, firstLong);
    }
    return type.dtype().isFloat()
        ? Literal.of(type, Arrays.copyOf(doubles, count))
        : Literal.of(type, Arrays.copyOf(longs, count));
  }

  private long integer(DataType type) {
    return switch (type) {
      case BOOL -> {
        if (scanner.atWord("true") || scanner.atWord("false")) {
          yield truth() ? 1 : 0;
        }
        yield whole(0, 1);
      }
      case I32 -> whole(Integer.MIN_VALUE, Integer.MAX_VALUE);
      default -> whole(Long.MIN_VALUE, Long.MAX_VALUE);
    };
  }
}
