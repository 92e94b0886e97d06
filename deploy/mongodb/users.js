// Gives MongoDB an operator and Warren's users, with the rights that rights.json (beside this file) names:
//
//     mongosh "$URL" --file users.js
//
// Passwords come from WARREN_MONGO_OPERATOR_PASSWORD, WARREN_MONGO_PERSISTENCE_PASSWORD and WARREN_MONGO_PRESENCE_PASSWORD.
// May be repeated: it sets rights and passwords of what is there. The first run works only on the server's own machine,
// where MongoDB lets whoever comes first make the first user; later ones log in as that operator. A server that was
// started for a replica set and is in none yet becomes the only member of the set `warren`, as WARREN_MONGO_MEMBER
// (127.0.0.1:27017).
const { readFileSync } = require("fs");
const { join } = require("path");

function password(user) {
  const variable = `WARREN_MONGO_${user.toUpperCase()}_PASSWORD`;
  if (!process.env[variable]) throw new Error(`${variable} is not set.`);
  return process.env[variable];
}

function startSet() {
  if (!db.hello().isreplicaset) return; // true only while it waits to be told of a set
  const host = process.env.WARREN_MONGO_MEMBER || "127.0.0.1:27017";
  rs.initiate({ _id: "warren", members: [{ _id: 0, host }] });
  for (let tries = 0; !db.hello().isWritablePrimary; tries++) {
    if (tries === 100) throw new Error("The replica set has no primary after 10 s.");
    sleep(100);
  }
}

function logIn() {
  const admin = db.getSiblingDB("admin");
  const operator = password("operator");
  try {
    admin.auth("operator", operator);
  } catch (error) {
    if (error.codeName !== "AuthenticationFailed") throw error;
    // There is none yet; if there is, MongoDB refuses this.
    admin.createUser({ user: "operator", pwd: operator, roles: ["root"] });
    admin.auth("operator", operator);
  }
}

function grant(rights) {
  const warren = db.getSiblingDB(rights.database);
  for (const { role, ...rest } of rights.roles) {
    if (warren.getRole(role)) warren.updateRole(role, rest);
    else warren.createRole({ role, ...rest });
  }
  for (const { user, ...rest } of rights.users) {
    if (warren.getUser(user)) warren.updateUser(user, { pwd: password(user), ...rest });
    else warren.createUser({ user, pwd: password(user), ...rest });
  }
}

startSet();
logIn();
grant(JSON.parse(readFileSync(join(__dirname, "rights.json"), "utf8")));
