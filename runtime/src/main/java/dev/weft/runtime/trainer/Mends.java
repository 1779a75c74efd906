package dev.weft.runtime.trainer;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.UserException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * Looks for what makes a configuration fit that needs more memory than its devices have: other
 * settings are tried one by one, and what is named has been found to fit.
 */
public final class Mends {
  /** After so long nothing more is tried. */
  private static final Duration PATIENCE = Duration.ofSeconds(5);

  /** How often a number is doubled or halved. */
  private static final int DOUBLINGS = 10;

  private final TrainConfig config;
  private final Predicate<TrainConfig> fits;
  private final long end = System.nanoTime() + PATIENCE.toNanos();
  private final List<String> tried = new ArrayList<>();

  private Mends(TrainConfig config, Predicate<TrainConfig> fits) {
    this.config = config;
    this.fits = fits;
  }

  /**
   * A sentence that says what would make it fit.
   *
   * @param keptFits whether what outlives a step fits as it is: else only what splits that helps
   * @param fits whether a configuration fits; it may throw a {@link UserException} where there is
   *     no such configuration
   * @param more options that certainly make it fit
   */
  public static String of(
      TrainConfig config, boolean keptFits, Predicate<TrainConfig> fits, List<String> more) {
    var mends = new Mends(config, fits);
    List<String> found = mends.found(keptFits);
    found.addAll(more);
    if (found.isEmpty()) {
      return "Take a smaller model, or devices with more memory: it would not fit with "
          + String.join(", ", mends.tried)
          + " either.";
    }
    return found.stream().collect(Collectors.joining(", or ", "It fits with ", "."));
  }

  private List<String> found(boolean keptFits) {
    var found = new ArrayList<String>();
    if (keptFits) {
      first(recomputing(change())).ifPresent(found::add);
      first(moreMicroBatches()).ifPresent(found::add);
    }
    first(moreZero()).ifPresent(found::add);
    first(moreStages()).ifPresent(found::add);
    if (keptFits) {
      first(smallerBatches()).ifPresent(found::add);
    }
    if (found.isEmpty()) {
      first(together()).ifPresent(found::add);
    }
    return found;
  }

  private static ObjectNode change() {
    return ConfigTree.empty();
  }

  private boolean recomputes() {
    return config.recompute().equals(Recompute.FULL) || config.recompute().equals(Recompute.AUTO);
  }

  private List<ObjectNode> recomputing(ObjectNode change) {
    return recomputes() ? List.of() : List.of(change.put("recompute", Recompute.FULL));
  }

  private List<ObjectNode> moreMicroBatches() {
    var changes = new ArrayList<ObjectNode>();
    for (long count = 2L * config.microBatches(); count < config.batch(); count *= 2) {
      changes.add(change().put("micro-batches", (int) count));
    }
    if (config.batch() > config.microBatches()) {
      changes.add(change().put("micro-batches", config.batch()));
    }
    return changes;
  }

  private boolean splitsData() {
    if (config.mesh().isEmpty()) {
      return config.devices() > 1 && config.stages() == 1;
    }
    return Mesh.parse(config.mesh()).axes().stream()
        .filter(axis -> axis.name().equals("data"))
        .mapToInt(MeshAxis::size)
        .anyMatch(size -> size > 1);
  }

  private List<ObjectNode> moreZero() {
    var changes = new ArrayList<ObjectNode>();
    for (int stage = config.zero() + 1; splitsData() && stage <= 3; stage++) {
      changes.add(change().put("zero", stage));
    }
    return changes;
  }

  private List<ObjectNode> moreStages() {
    var changes = new ArrayList<ObjectNode>();
    long stages = config.stages();
    for (int i = 0; i < 3; i++) {
      stages *= 2;
      changes.add(stages(change(), stages));
    }
    return changes;
  }

  /** Its own cut and number of devices are of other stages. */
  private static ObjectNode stages(ObjectNode change, long stages) {
    return change.put("stages", (int) stages);
  }

  private List<ObjectNode> smallerBatches() {
    var changes = new ArrayList<ObjectNode>();
    int batch = config.batch();
    for (int i = 0; i < DOUBLINGS && batch > 1; i++) {
      batch /= 2;
      ObjectNode change = change().put("batch", batch);
      if (config.microBatches() > batch) {
        change.put("micro-batches", batch);
      }
      changes.add(change);
    }
    return changes;
  }

  /** All at once, where nothing alone is enough. */
  private List<ObjectNode> together() {
    ObjectNode most = change();
    recomputing(most);
    if (config.batch() > config.microBatches()) {
      most.put("micro-batches", config.batch());
    }
    var changes = new ArrayList<ObjectNode>();
    changes.add(most.deepCopy());
    if (splitsData() && config.zero() < 3) {
      changes.add(most.put("zero", 3).deepCopy());
    }
    for (int factor = 2; factor <= 8; factor *= 2) {
      changes.add(stages(most.deepCopy(), (long) factor * config.stages()));
    }
    return changes;
  }

  /** The first that fits, as options. */
  private Optional<String> first(List<ObjectNode> changes) {
    for (ObjectNode change : changes) {
      if (System.nanoTime() > end) {
        return Optional.empty();
      }
      if (change.isEmpty()) {
        continue;
      }
      String options =
          change.properties().stream()
              .map(entry -> "--" + entry.getKey() + " " + entry.getValue().asText())
              .collect(Collectors.joining(" "));
      if (fits(change)) {
        return Optional.of(options);
      }
      tried.add(options);
    }
    return Optional.empty();
  }

  private boolean fits(ObjectNode change) {
    ObjectNode tree = change.deepCopy();
    if (tree.has("stages")) {
      tree.put("cut", "").put("devices", 0);
    }
    try {
      return fits.test(config.with(tree, "what is tried"));
    } catch (UserException _) {
      // There is no such model, schedule or mesh.
      return false;
    }
  }
}
