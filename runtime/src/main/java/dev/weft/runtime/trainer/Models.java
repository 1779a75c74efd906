package dev.weft.runtime.trainer;

import dev.weft.core.cluster.UserException;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.TokenModel;
import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;

/** Models by name. */
final class Models {
  private Models() {}

  /**
   * The model of that name, or of that class.
   *
   * @param classpath jars and folders where the class may be, parted as on a command line
   * @throws UserException if there is no such model
   */
  static TokenModel load(String name, String classpath) {
    if (name.equals("gpt")) {
      return new Gpt();
    }
    if (!name.contains(".")) {
      throw new UserException(
          "there is no model '" + name + "': use gpt, or the full name of a class and --classpath");
    }
    try {
      var urls = new ArrayList<URL>();
      for (String part : classpath.split(File.pathSeparator)) {
        if (!part.isEmpty()) {
          File file = new File(part);
          if (!file.exists()) {
            throw new UserException("there is no '" + part + "', named in --classpath");
          }
          urls.add(file.toURI().toURL());
        }
      }
      var loader = new URLClassLoader(urls.toArray(URL[]::new), Models.class.getClassLoader());
      Class<?> type = Class.forName(name, true, loader);
      if (!TokenModel.class.isAssignableFrom(type)) {
        throw new UserException(name + " does not implement " + TokenModel.class.getName());
      }
      return (TokenModel) type.getDeclaredConstructor().newInstance();
    } catch (ClassNotFoundException e) {
      throw new UserException(
          "there is no class '" + name + "' on the classpath '" + classpath + "'; give --classpath",
          e);
    } catch (NoSuchMethodException e) {
      throw new UserException(name + " needs a constructor without arguments", e);
    } catch (ReflectiveOperationException | MalformedURLException e) {
      throw new UserException("cannot make a " + name + ": " + e, e);
    }
  }
}
