// A small application of studios, written with Prisma: registering, logging in, booking, favourites,
// confirming, leaving. Each step prints what it got, as one line of JSON, so that the lines of two
// runs, of which one went through Crossfade, can be compared.

import { createRequire } from "node:module";

const [, , how, url, tag, chosen] = process.argv;

// One clock for both databases: rows are compared as well. Prisma fills in `now()` and `updatedAt` by it.
let ticks = 0;
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) {
      super(RealDate.UTC(2026, 10, 20 + Number(tag), 12) + ticks++ * 1000);
    } else {
      super(...args);
    }
  }
};

const require = createRequire(process.env.DRIVER_ROOT);
const { PrismaClient, Prisma } = require("../../studios");
const { PrismaPg } = require("@prisma/adapter-pg");

// "one": what a function of a cloud service is given; "pool": what a server takes.
const max = how === "one" ? 1 : 3;
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max }) });

const id = (name) => `${name}-${tag}`;
const email = (name) => `${name}-${tag}@example.com`;
const mine = { endsWith: `-${tag}` };

const steps = [];
const base = new Set();
const step = (name, run) => steps.push([name, run]);
// A step that the others build on.
const founded = (name, run) => (base.add(name), step(name, run));

founded("customers_register", () =>
  Promise.all(
    ["ann", "bob", "eve"].map((name) =>
      prisma.customer.create({
        data: { id: id(name), name, email: email(name), password: "hash", phone: name === "bob" ? null : "+49" },
      }),
    ),
  ).then((made) => made.map((row) => ({ ...row, createdAt: undefined, updatedAt: undefined }))),
);
founded("owners_register_with_their_studios", async () => {
  const made = [];
  for (const name of ["own", "odd"]) {
    made.push(
      await prisma.studioOwner.create({
        data: {
          id: id(name),
          name: name === "own" ? "Owner" : null,
          email: email(name),
          studios: {
            create: {
              id: id(`st-${name}`),
              name: "Studio",
              address: "a",
              city: `Ulm ${tag}`,
              phone: "1",
              email: "s@example.com",
              openingHours: { mon: [9, 17] },
              services: { create: [{ id: id(`sv-${name}`), name: "Thai", price: 59.5, duration: 60 }] },
            },
          },
        },
        include: { studios: { include: { services: true } } },
      }),
    );
  }
  return made;
});
step("a_customer_registers_twice", () =>
  prisma.customer.create({ data: { id: id("twice"), name: "x", email: email("ann") } }),
);
step("an_owner_registers_twice", () => prisma.studioOwner.create({ data: { id: id("twice"), email: email("own") } }));
step("an_id_twice", () => prisma.customer.create({ data: { id: id("ann"), name: "x", email: email("other") } }));
step("logging_in", async () => [
  await prisma.customer.findUnique({ where: { email: email("ann") } }),
  await prisma.studioOwner.findUnique({ where: { email: email("own") }, include: { accounts: true } }),
  await prisma.customer.findUnique({ where: { email: email("nobody") } }),
  await prisma.customer.findFirst({ where: { email: { equals: email("ANN"), mode: "insensitive" } } }),
]);
step("nobody_is_found_or_else", () => prisma.customer.findUniqueOrThrow({ where: { email: email("nobody") } }));
step("an_account_is_linked_and_found", async () => {
  const made = await prisma.account.create({
    data: {
      id: id("acc"),
      userId: id("own"),
      type: "oauth",
      provider: "google",
      providerAccountId: id("gg"),
      access_token: "at",
      expires_at: 1,
    },
  });
  const found = await prisma.account.findUnique({
    where: { provider_providerAccountId: { provider: "google", providerAccountId: id("gg") } },
    include: { user: true },
  });
  return [made, found];
});
step("an_account_is_linked_twice", () =>
  prisma.account.create({
    data: { id: id("acc2"), userId: id("odd"), type: "oauth", provider: "google", providerAccountId: id("gg") },
  }),
);
step("an_account_of_nobody", () =>
  prisma.account.create({
    data: { id: id("acc3"), userId: "nobody", type: "oauth", provider: "google", providerAccountId: id("h") },
  }),
);
step("a_session_begins_and_is_renewed", async () => {
  await prisma.session.create({
    data: { id: id("ses"), sessionToken: id("tok"), userId: id("own"), expires: new Date("2027-01-01") },
  });
  const renewed = await prisma.session.update({
    where: { sessionToken: id("tok") },
    data: { expires: new Date("2027-02-02") },
    include: { user: true },
  });
  return [renewed, await prisma.session.findUnique({ where: { sessionToken: id("tok") } })];
});

const booking = (name, more) => ({
  id: id(name),
  customerName: name,
  customerEmail: email(name),
  customerPhone: "",
  preferredDate: "Monday",
  preferredTime: "9:00",
  ...more,
});
founded("a_customer_and_a_guest_book", async () => {
  const made = [];
  for (const [name, more] of [
    ["ann", { customer: { connect: { id: id("ann") } }, service: { connect: { id: id("sv-own") } } }],
    ["guest", {}],
    ["bob", { message: "quiet, please" }],
  ]) {
    made.push(
      await prisma.booking.create({
        data: booking(name, { studio: { connect: { id: id("st-own") } }, ...more }),
        include: { studio: true, service: true, customer: true },
      }),
    );
  }
  return made;
});
step("a_booking_in_no_studio", () =>
  prisma.booking.create({ data: booking("lost", { studio: { connect: { id: "none" } } }) }),
);
step("a_booking_in_no_studio_by_its_key", () => prisma.booking.create({ data: booking("lost", { studioId: "none" }) }));
step("bookings_of_many", () =>
  prisma.booking.createMany({
    data: [1, 2, 3].map((n) => booking(`many${n}`, { studioId: id("st-odd"), status: "CANCELLED" })),
    skipDuplicates: true,
  }),
);
step("bookings_of_many_again", () =>
  prisma.booking.createManyAndReturn({
    data: [3, 4].map((n) => booking(`many${n}`, { studioId: id("st-odd") })),
    skipDuplicates: true,
    select: { id: true, status: true, customerId: true },
  }),
);
step("a_booking_is_confirmed", () =>
  prisma.booking.update({ where: { id: id("guest") }, data: { status: "CONFIRMED" }, include: { studio: true } }),
);
step("a_booking_that_is_not_there_is_confirmed", () =>
  prisma.booking.update({ where: { id: "none" }, data: { status: "CONFIRMED" } }),
);
step("the_guest_registers_and_gets_the_booking", () =>
  prisma.$transaction(async (tx) => {
    const made = await tx.customer.create({ data: { id: id("guest"), name: "Guest", email: email("guest") } });
    const claimed = await tx.booking.updateMany({
      where: { customerEmail: email("guest") },
      data: { customerId: made.id },
    });
    return [claimed, await tx.customer.findUnique({ where: { id: made.id }, include: { bookings: true } })];
  }),
);
step("a_transaction_is_given_up", () =>
  prisma.$transaction(async (tx) => {
    await tx.customer.update({ where: { id: id("ann") }, data: { name: "not kept" } });
    await tx.customer.create({ data: { id: id("x"), name: "x", email: email("ann") } });
  }),
);
step("what_was_given_up", () => prisma.customer.findMany({ where: { id: mine }, orderBy: { id: "asc" } }));
step("several_in_one_transaction", () =>
  prisma.$transaction([
    prisma.customer.update({ where: { id: id("bob") }, data: { phone: "+49 7" } }),
    prisma.booking.count({ where: { studioId: id("st-own") } }),
    prisma.customer.deleteMany({ where: { id: "none" } }),
  ]),
);
step("favourites", async () => {
  const set = { favorites: { connect: [{ id: id("st-own") }, { id: id("st-odd") }] } };
  const first = await prisma.customer.update({ where: { id: id("ann") }, data: set });
  await prisma.customer.update({ where: { id: id("ann") }, data: set });
  await prisma.customer.update({ where: { id: id("bob") }, data: { favorites: { connect: { id: id("st-own") } } } });
  const all = await prisma.customer.findUnique({
    where: { id: id("ann") },
    include: { favorites: { orderBy: { id: "asc" }, include: { _count: { select: { favoritedBy: true, bookings: true } } } } },
  });
  const disconnect = { favorites: { disconnect: { id: id("st-odd") } } };
  await prisma.customer.update({ where: { id: id("ann") }, data: disconnect });
  const left = await prisma.studio.findMany({
    where: { favoritedBy: { some: { id: mine } } },
    include: { favoritedBy: { orderBy: { id: "asc" } } },
  });
  return [first, all, left];
});
step("a_favourite_that_is_not_there", () =>
  prisma.customer.update({ where: { id: id("ann") }, data: { favorites: { connect: { id: "none" } } } }),
);
step("an_upsert_of_each_kind", async () => [
  await prisma.customer.upsert({
    where: { email: email("up") },
    create: { id: id("up"), name: "made", email: email("up") },
    update: { name: "was there" },
  }),
  await prisma.customer.upsert({
    where: { email: email("up") },
    create: { id: id("up2"), name: "made", email: email("up") },
    update: { name: "was there" },
  }),
]);
step("a_customer_becomes_an_owner_as_well", async () => {
  const both = await prisma.customer.create({ data: { id: id("both-c"), name: "Both", email: email("both") } });
  const owner = await prisma.studioOwner.create({
    data: { id: id("both-o"), name: "Both", email: email("both"), createdAt: both.createdAt, updatedAt: both.updatedAt },
  });
  return [both, owner, await prisma.customer.findUnique({ where: { email: email("both") } })];
});
step("the_dashboard_of_an_owner", () =>
  prisma.studio.findMany({
    where: { ownerId: { in: [id("own"), id("odd")] } },
    orderBy: { id: "asc" },
    include: { _count: { select: { bookings: true } }, owner: true, bookings: { orderBy: { id: "asc" }, take: 2, skip: 1 } },
  }),
);
step("counts_and_groups", async () => [
  await prisma.booking.count({ where: { studio: { city: `Ulm ${tag}` } } }),
  await prisma.booking.groupBy({ by: ["status"], where: { id: mine }, _count: { _all: true }, orderBy: { status: "asc" } }),
  await prisma.booking.aggregate({ where: { id: mine }, _max: { createdAt: true }, _count: { customerId: true } }),
  await prisma.booking.findMany({ where: { id: mine }, distinct: ["status"], select: { status: true }, orderBy: { status: "asc" } }),
]);
step("filters_over_relations", async () => [
  await prisma.customer.findMany({ where: { id: mine, bookings: { some: { status: "PENDING" } } }, orderBy: { id: "asc" } }),
  await prisma.customer.findMany({ where: { id: mine, bookings: { none: {} } }, orderBy: { name: "asc" } }),
  await prisma.studioOwner.findMany({
    where: { OR: [{ studios: { some: { bookings: { some: { customerEmail: email("ann") } } } } }, { accounts: { some: { provider: "x" } } }] },
  }),
  await prisma.booking.findMany({
    where: { customer: { favorites: { some: { owner: { email: email("own") } } } } },
    select: { id: true, customer: { select: { email: true } } },
  }),
  await prisma.customer.findMany({ where: { id: mine }, cursor: { id: id("ann") }, skip: 1, take: 2, orderBy: { id: "asc" } }),
]);
step("raw_sql", () =>
  prisma.$queryRaw`SELECT c.id, c.phone, b.status::text FROM customers c JOIN bookings b ON b."customerId" = c.id WHERE c.email = ${email("ann")} ORDER BY b.id`,
);
step("a_new_e_mail_of_somebody_elses", () =>
  prisma.customer.update({ where: { id: id("ann") }, data: { email: email("bob") } }),
);
step("a_new_e_mail_and_a_new_id", async () => [
  await prisma.customer.update({ where: { id: id("bob") }, data: { email: email("bobby") } }),
  await prisma.customer.update({ where: { id: id("bob") }, data: { id: id("bobby") }, include: { favorites: true, bookings: true } }),
]);
step("a_verification_and_increments", async () => [
  await prisma.customer.update({ where: { id: id("ann") }, data: { emailVerified: new Date("2026-01-02T03:04:05.678Z"), image: null } }),
  await prisma.service.update({ where: { id: id("sv-own") }, data: { price: { increment: 0.5 }, duration: { multiply: 2 } } }),
]);
step("a_booking_is_deleted_twice", async () => [
  await prisma.booking.delete({ where: { id: id("bob") } }),
  await prisma.booking.deleteMany({ where: { id: id("bob") } }),
  await prisma.booking.delete({ where: { id: id("bob") } }).catch((error) => told(error)),
]);
step("a_customer_leaves_and_the_bookings_stay", async () => [
  await prisma.customer.delete({ where: { id: id("ann") }, include: { bookings: true } }),
  await prisma.booking.findMany({ where: { customerEmail: email("ann") }, include: { customer: true } }),
]);
step("an_owner_leaves_with_the_studio", async () => [
  await prisma.studioOwner.delete({ where: { id: id("odd") } }),
  await prisma.studio.findMany({ where: { id: mine } }),
  await prisma.booking.findMany({ where: { studioId: id("st-odd") } }),
]);
step("all_at_the_end", async () => [
  await prisma.customer.findMany({ where: { id: mine }, orderBy: { id: "asc" }, include: { bookings: true, favorites: true } }),
  await prisma.studioOwner.findMany({ where: { id: mine }, orderBy: { id: "asc" }, include: { studios: true, accounts: true, sessions: true } }),
]);

// An error as an application can tell it from another.
function told(error) {
  const found = { error: error.code ?? error.constructor.name };
  if (error instanceof Prisma.PrismaClientKnownRequestError) {
    return { ...found, meta: error.meta };
  }
  return { ...found, message: String(error.message).split("\n").pop() };
}

const [kind, words = ""] = chosen.split(":");
const names = new Set(words.split(",").filter(Boolean));
for (const [name, run] of steps) {
  const wanted = kind === "only" ? names.has(name) || base.has(name) : !names.has(name);
  if (!wanted) continue;
  let line;
  try {
    line = { step: name, got: await run() };
  } catch (error) {
    line = { step: name, ...told(error) };
  }
  console.log(JSON.stringify(line));
}
await prisma.$disconnect();
