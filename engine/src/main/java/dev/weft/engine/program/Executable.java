package dev.weft.engine.program;

import dev.weft.core.graph.Literal;
import dev.weft.core.program.Footprint;
import dev.weft.engine.buffer.Slab;
import dev.weft.engine.collective.Collectives;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.library.TensorHandle;
import dev.weft.engine.library.TensorSlot;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A graph ready to run on a device: compiled once to prepared calls on bound and planned memory. It
 * is linked to addresses at its first run, when all programs that share the scratch slab are known.
 */
public final class Executable implements AutoCloseable {
  private final Device device;
  private final Compiled compiled;
  private final String name;
  private final Program program;
  private final Collectives collectives;
  private final double flops;
  private final List<DeviceBuffer> results;
  private final List<DeviceBuffer> own = new ArrayList<>();
  private final Map<Place, DeviceBuffer> places;
  private final Footprint footprint;
  private final Optional<Command> adopter;

  private long[] nanoseconds = new long[0];
  private @Nullable Arena arena;
  private @Nullable Slab constants;
  private Step[] steps = new Step[0];
  private List<TensorHandle> handles = List.of();
  private List<TensorSlot> slots = List.of();

  /**
   * Makes a compiled graph ready to run on a device.
   *
   * @param places for each place that it was compiled for the memory that it is; a buffer of the
   *     device's stands for itself unless it is in there
   */
  public Executable(
      Device device,
      Compiled compiled,
      Map<? extends Place, DeviceBuffer> places,
      Collectives collectives) {
    this.device = device;
    this.compiled = compiled;
    this.name = compiled.name();
    this.program = compiled.program();
    this.collectives = collectives;
    this.flops = compiled.flops();
    Map<Place, DeviceBuffer> all = new HashMap<>(places);
    for (Place place : compiled.own()) {
      DeviceBuffer buffer = device.allocate(place.name(), place.type());
      own.add(buffer);
      all.put(place, buffer);
    }
    this.places = Map.copyOf(all);
    all.forEach(
        (from, to) -> {
          if (!from.type().equals(to.type()) || !from.layout().equals(to.layout())) {
            throw new IllegalArgumentException(
                "graph " + name + ": " + to + " cannot take the place of " + from);
          }
        });
    this.results = compiled.results().stream().map(this::memory).toList();
    this.footprint = compiled.footprint();
    this.adopter = compiled.adopter();
  }

  private DeviceBuffer memory(Place place) {
    DeviceBuffer found = places.get(place);
    if (found == null && place instanceof DeviceBuffer itself) {
      found = itself;
    }
    return Objects.requireNonNull(found, () -> "graph " + name + ": no memory for " + place);
  }

  /** The buffer in which an output is after a run. */
  public DeviceBuffer output(int index) {
    return results.get(index);
  }

  /** Floating point operations of one run. */
  public double flops() {
    return flops;
  }

  /** What a run takes of the device beside inputs and outputs. */
  public Footprint footprint() {
    return footprint;
  }

  /** How many calls a run makes. */
  public int calls() {
    return program.commands().size();
  }

  /**
   * Runs once, and waits for the end.
   *
   * @throws dev.weft.engine.library.KernelException if a kernel fails, naming the op
   */
  public void run() {
    device
        .thread()
        .execute(
            () -> {
              try {
                if (arena == null) {
                  link();
                }
                runSteps();
              } catch (Throwable e) {
                collectives.failed(e);
                throw e;
              }
              return true;
            });
  }

  /** Has every run from now on time each of its calls, at the price of two readings of a clock. */
  public void startProfile() {
    nanoseconds = new long[program.commands().size()];
  }

  /** The time of each call, summed over the runs since {@link #startProfile}. */
  public List<CallTime> profile() {
    var times = new ArrayList<CallTime>();
    for (int i = 0; i < nanoseconds.length; i++) {
      Command command = program.commands().get(i);
      times.add(new CallTime(command.origin(), CommandText.of(command), nanoseconds[i]));
    }
    return times;
  }

  private void runSteps() {
    int position = 0;
    try {
      if (nanoseconds.length == 0) {
        for (; position < steps.length; position++) {
          collectives.check();
          steps[position].run();
        }
      } else {
        long before = System.nanoTime();
        for (; position < steps.length; position++) {
          collectives.check();
          steps[position].run();
          long now = System.nanoTime();
          nanoseconds[position] += now - before;
          before = now;
        }
      }
    } catch (RuntimeException e) {
      slots.forEach(TensorSlot::close);
      e.addSuppressed(
          new IllegalStateException(
              "in graph " + name + ", " + program.commands().get(position).origin()));
      throw e;
    }
  }

  /**
   * Runs once more, op by op, and names the first op whose result holds a not-a-number or an
   * infinity. For diagnosis: it is slow. Devices that compute together must do so together.
   */
  public Optional<String> firstNonFinite() {
    return device
        .thread()
        .execute(
            () -> {
              if (arena == null) {
                link();
              }
              Optional<String> first = Optional.empty();
              for (int position = 0; position < steps.length; position++) {
                steps[position].run();
                Command command = program.commands().get(position);
                if (first.isEmpty() && Targets.of(command).stream().anyMatch(this::isNonFinite)) {
                  first = Optional.of(command.origin());
                }
              }
              return first;
            });
  }

  private boolean isNonFinite(Operand operand) {
    if (!operand.dtype().isFloat() || !operand.layout().isContiguous()) {
      return false;
    }
    long address = address(operand);
    long bytes = operand.shape().elements() * operand.dtype().bytes();
    Literal values =
        Literals.read(
            new dev.weft.core.graph.TensorType(operand.dtype(), operand.shape()),
            java.lang.foreign.MemorySegment.ofAddress(address).reinterpret(bytes));
    for (double value : values.doubles()) {
      if (!Double.isFinite(value)) {
        return true;
      }
    }
    return false;
  }

  private Map<Buffer, Long> constantAddresses = Map.of();
  private long scratchAddress;

  private long address(Operand operand) {
    Buffer buffer = operand.buffer();
    Long constant = constantAddresses.get(buffer);
    long base =
        buffer.bound != null
            ? memory(buffer.bound).address()
            : constant != null ? constant : scratchAddress + buffer.offset;
    return base + operand.offset();
  }

  /**
   * Sees to it that the device's scratch slab is large enough, and that there is room beside it for
   * what kernels allocate.
   *
   * @throws dev.weft.engine.buffer.OutOfDeviceMemoryException if the budget has not so many bytes,
   *     naming the op that needs most
   */
  public Slab reserve() {
    String fullest = footprint.fullest().isEmpty() ? "" : ", fullest at " + footprint.fullest();
    Slab scratch =
        device.scratch(program.plan().bytes(), "scratch memory of graph " + name + fullest);
    adopter.ifPresent(
        largest -> device.memory().require(Compiled.adoptedBytes(largest), largest.origin()));
    return scratch;
  }

  private void link() {
    Slab scratch = reserve();
    scratchAddress = scratch.address();
    Arena opened = Arena.ofShared();
    arena = opened;
    Map<Buffer, Long> addresses = compiled.constantOffsets();
    Slab memory = Slab.map(device.memory(), footprint.constants(), "constants of graph " + name);
    constants = memory;
    addresses.replaceAll((_, at) -> at + memory.address());
    program
        .constants()
        .forEach(
            (buffer, literal) ->
                Literals.write(
                    literal,
                    memory
                        .segment()
                        .asSlice(
                            Objects.requireNonNull(addresses.get(buffer)) - memory.address(),
                            buffer.bytes)));
    constantAddresses = addresses;
    var linker =
        new Linker(
            device,
            collectives,
            opened,
            scratch.address(),
            addresses,
            place -> memory(place).address());
    steps = program.commands().stream().map(linker::link).toArray(Step[]::new);
    handles = linker.handles();
    slots = linker.slots();
  }

  /** Drops everything that depends on addresses; the next run links again. */
  public void unlink() {
    Arena opened = arena;
    if (opened != null) {
      slots.forEach(TensorSlot::close);
      handles.forEach(TensorHandle::close);
      handles = List.of();
      slots = List.of();
      steps = new Step[0];
      opened.close();
      arena = null;
      if (constants != null) {
        constants.close();
        constants = null;
      }
    }
  }

  /** Frees what the program holds; buffers bound from outside stay. */
  @Override
  public void close() {
    device
        .thread()
        .execute(
            () -> {
              unlink();
              return true;
            });
    own.forEach(DeviceBuffer::close);
    device.forget(this);
  }
}
