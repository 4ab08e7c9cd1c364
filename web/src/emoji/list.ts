// The emoji that one can choose from: those that people use in conversations, of versions that every system draws by now. Each is followed by its name and,
// behind a slash, by further words that it is found by.

/** An emoji with its name, and the words that it is found by, in small letters. */
export interface Emoji {
  readonly emoji: string;
  readonly name: string;
  readonly words: readonly string[];
}

/** Emoji that belong together; `icon` stands for them. */
export interface Group {
  readonly name: string;
  readonly icon: string;
  readonly emoji: readonly Emoji[];
}

const lists = {
  "Smileys": `
    😀 grinning face/happy smile, 😃 smiling face with open mouth/happy smiley, 😄 smiling face with smiling eyes/happy laugh, 😁 beaming face/grin teeth,
    😆 squinting face/laugh haha, 😅 grinning face with sweat/phew relief, 🤣 rolling on the floor laughing/rofl lol, 😂 tears of joy/laugh lol haha cry,
    🙂 slightly smiling face, 🙃 upside-down face/silly irony, 😉 winking face/wink, 😊 blushing face/smile happy, 😇 face with halo/angel innocent,
    🥰 face with hearts/love adore, 😍 heart eyes/love, 🤩 star-struck/wow excited, 😘 blowing a kiss/love, 😗 kissing face, 😚 kissing face with closed eyes,
    😋 yummy face/tasty delicious food, 😛 face with tongue, 😜 winking face with tongue/joke silly, 🤪 zany face/crazy goofy, 😝 squinting face with tongue,
    🤑 money face/rich, 🤗 hugging face/hug, 🤭 hand over mouth/oops giggle, 🤫 shushing face/quiet secret, 🤔 thinking face/hmm wonder,
    🤐 zipper mouth/secret quiet, 🤨 raised eyebrow/doubt really, 😐 neutral face/meh, 😑 expressionless face/meh, 😶 face without mouth/speechless,
    😏 smirking face/smug, 😒 unamused face/meh annoyed, 🙄 rolling eyes/annoyed, 😬 grimacing face/awkward, 🤥 lying face/pinocchio, 😌 relieved face/calm,
    😔 pensive face/sad, 😪 sleepy face/tired, 🤤 drooling face/hungry, 😴 sleeping face/tired zzz night, 😷 face with mask/ill sick, 🤒 face with thermometer/ill sick fever,
    🤕 bandaged face/hurt ill, 🤢 nauseated face/sick ill, 🤮 vomiting face/sick, 🤧 sneezing face/cold ill, 🥵 hot face/heat sweat, 🥶 cold face/freezing,
    🥴 woozy face/drunk dizzy, 😵 dizzy face, 🤯 exploding head/mind blown, 🤠 cowboy, 🥳 partying face/celebrate birthday party, 🥸 disguised face, 😎 sunglasses/cool,
    🤓 nerd/geek glasses, 🧐 face with monocle/inspect, 😕 confused face, 😟 worried face, 🙁 slightly frowning face/sad, ☹️ frowning face/sad,
    😮 surprised face/wow oh, 😲 astonished face/wow, 😳 flushed face/embarrassed, 🥺 pleading face/please puppy, 😦 frowning face with open mouth, 😧 anguished face,
    😨 fearful face/scared, 😰 anxious face with sweat/nervous, 😥 sad but relieved face, 😢 crying face/sad tear, 😭 loudly crying face/sob sad, 😱 screaming in fear/scared shock,
    😖 confounded face, 😣 persevering face, 😞 disappointed face/sad, 😓 downcast face with sweat, 😩 weary face/tired, 😫 tired face, 🥱 yawning face/tired bored,
    😤 huffing face/triumph, 😡 pouting face/angry mad, 😠 angry face/mad, 🤬 swearing face/curse angry, 😈 smiling devil/evil, 💀 skull/dead, 💩 pile of poo/poop,
    🤡 clown, 👻 ghost/halloween, 👽 alien, 🤖 robot/bot, 😺 grinning cat, 😹 cat with tears of joy, 😻 cat with heart eyes, 🙀 weary cat, 😿 crying cat,
    🙈 see-no-evil monkey, 🙉 hear-no-evil monkey, 🙊 speak-no-evil monkey`,
  "People": `
    👋 waving hand/hello hi bye, 🤚 raised back of hand, ✋ raised hand/stop high five, 🖖 vulcan salute, 👌 OK hand/perfect okay, 🤌 pinched fingers, 🤏 pinching hand/small little,
    ✌️ victory hand/peace, 🤞 crossed fingers/luck hope, 🤟 love-you gesture, 🤘 sign of the horns/rock, 🤙 call me hand, 👈 pointing left, 👉 pointing right,
    👆 pointing up, 👇 pointing down, ☝️ index finger up, 👍 thumbs up/yes like good ok agree, 👎 thumbs down/no dislike bad, ✊ raised fist, 👊 fist bump/punch,
    👏 clapping hands/applause bravo, 🙌 raising hands/hooray praise, 👐 open hands, 🤲 palms up together, 🤝 handshake/deal agree, 🙏 folded hands/please thanks pray,
    ✍️ writing hand, 💅 nail polish, 🤳 selfie, 💪 flexed biceps/strong muscle, 👂 ear/listen, 👀 eyes/look see watching, 🧠 brain/mind, 👄 mouth/lips, 👶 baby, 🧒 child,
    👩 woman, 👨 man, 🧓 older person, 🙅 person gesturing no, 🙆 person gesturing OK, 💁 person tipping hand, 🙋 person raising hand/me question, 🙇 person bowing/sorry,
    🤦 facepalm, 🤷 shrug/dunno whatever, 👮 police officer, 🕵️ detective, 👷 construction worker, 👸 princess, 🤴 prince, 🦸 superhero, 🧙 mage/wizard, 🧚 fairy,
    🧜 merperson/mermaid, 🧟 zombie, 🎅 santa claus/christmas, 🏃 person running/run hurry, 🚶 person walking/walk, 💃 woman dancing/dance party, 🕺 man dancing/dance party,
    🧘 person in lotus position/yoga calm, 👭 women holding hands, 👫 woman and man holding hands, 👬 men holding hands, 👪 family, 🗣️ speaking head, 👤 silhouette/user, 👥 silhouettes/users,
    👣 footprints`,
  "Nature": `
    🐶 dog/puppy, 🐱 cat/kitten, 🐭 mouse, 🐹 hamster, 🐰 rabbit/bunny, 🦊 fox, 🐻 bear, 🐼 panda, 🐨 koala, 🐯 tiger, 🦁 lion, 🐮 cow, 🐷 pig, 🐸 frog, 🐵 monkey,
    🐔 chicken, 🐧 penguin, 🐦 bird, 🐤 chick, 🦆 duck, 🦅 eagle, 🦉 owl, 🦇 bat, 🐺 wolf, 🐴 horse, 🦄 unicorn, 🐝 bee, 🐛 bug/caterpillar, 🦋 butterfly, 🐌 snail/slow,
    🐞 ladybird/ladybug beetle, 🐜 ant, 🕷️ spider, 🐢 turtle/slow, 🐍 snake, 🦖 dinosaur, 🐙 octopus, 🦀 crab, 🐠 fish, 🐬 dolphin, 🐳 whale, 🦈 shark, 🐘 elephant, 🦒 giraffe,
    🐑 sheep, 🐐 goat, 🦌 deer, 🦔 hedgehog, 🦥 sloth/slow lazy, 🐿️ squirrel, 🐾 paw prints, 🌵 cactus, 🎄 christmas tree, 🌲 evergreen tree, 🌳 tree, 🌴 palm tree/holiday, 🌱 seedling/plant grow,
    🌿 herb/leaf, ☘️ shamrock, 🍀 four leaf clover/luck, 🍁 maple leaf/autumn, 🍂 fallen leaves/autumn, 🍄 mushroom, 💐 bouquet/flowers, 🌷 tulip/flower, 🌹 rose/flower, 🌺 hibiscus/flower,
    🌸 cherry blossom/flower spring, 🌼 blossom/flower, 🌻 sunflower, 🌍 earth/world globe, 🌙 crescent moon/night, ⭐ star, 🌟 glowing star, ✨ sparkles/shiny new, ⚡ lightning/fast power,
    🔥 fire/hot lit, 🌈 rainbow, ☀️ sun/weather, 🌤️ sun behind cloud/weather, ☁️ cloud/weather, 🌧️ rain/weather, ⛈️ thunderstorm/weather, ❄️ snowflake/cold winter, ⛄ snowman/winter,
    💨 dash/wind fast, 💧 drop/water, 💦 sweat drops/water, ☔ umbrella with rain/weather, 🌊 wave/sea water`,
  "Food": `
    🍏 green apple, 🍎 red apple, 🍐 pear, 🍊 orange/tangerine, 🍋 lemon, 🍌 banana, 🍉 watermelon, 🍇 grapes, 🍓 strawberry, 🫐 blueberries, 🍒 cherries, 🍑 peach, 🥭 mango, 🍍 pineapple,
    🥥 coconut, 🥝 kiwi, 🍅 tomato, 🍆 aubergine/eggplant, 🥑 avocado, 🥦 broccoli, 🥒 cucumber, 🌶️ hot pepper/chilli, 🌽 corn, 🥕 carrot, 🧄 garlic, 🧅 onion, 🥔 potato, 🥐 croissant,
    🍞 bread, 🥖 baguette, 🥨 pretzel, 🧀 cheese, 🥚 egg, 🍳 cooking/fried egg breakfast, 🥞 pancakes, 🧇 waffle, 🥓 bacon, 🍗 poultry leg/chicken, 🌭 hot dog, 🍔 hamburger/burger, 🍟 chips/french fries,
    🍕 pizza, 🥪 sandwich, 🌮 taco, 🌯 burrito, 🥗 salad, 🍝 spaghetti/pasta, 🍜 noodles/ramen soup, 🍲 stew/soup, 🍛 curry, 🍣 sushi, 🥟 dumpling, 🍚 rice, 🍦 ice cream, 🍩 doughnut/donut,
    🍪 cookie/biscuit, 🎂 birthday cake, 🍰 cake, 🧁 cupcake, 🍫 chocolate, 🍬 sweet/candy, 🍭 lollipop, 🍯 honey, 🍿 popcorn/cinema, ☕ coffee/tea hot cup, 🫖 teapot, 🍵 tea, 🧃 juice box, 🥤 cup with straw/soda,
    🍺 beer, 🍻 clinking beer mugs/cheers, 🥂 clinking glasses/cheers celebrate, 🍷 wine, 🥃 whisky, 🍸 cocktail, 🍹 tropical drink, 🍾 champagne/celebrate, 🧊 ice, 🍴 fork and knife/lunch dinner, 🧂 salt`,
  "Activities": `
    ⚽ football/soccer ball, 🏀 basketball, 🏈 american football, ⚾ baseball, 🎾 tennis, 🏐 volleyball, 🏉 rugby, 🎱 billiards, 🏓 table tennis/ping pong, 🏸 badminton, 🏒 ice hockey, 🥅 goal net,
    ⛳ golf, 🏹 bow and arrow, 🎣 fishing, 🥊 boxing, 🛹 skateboard, ⛸️ ice skate, 🎿 skis, 🏂 snowboarder, 🏋️ lifting weights/gym, 🤸 cartwheel/gymnastics, 🏊 swimming/swim, 🏄 surfing, 🚴 cycling/bike,
    🧗 climbing, 🏆 trophy/win cup, 🥇 gold medal/first win, 🥈 silver medal/second, 🥉 bronze medal/third, 🏅 medal, 🎫 ticket, 🎪 circus, 🎭 theatre/drama, 🎨 art/painting palette, 🎬 film/clapper movie,
    🎤 microphone/karaoke sing, 🎧 headphones/music, 🎼 musical score, 🎹 piano/keyboard music, 🥁 drum/music, 🎷 saxophone/music, 🎺 trumpet/music, 🎸 guitar/music, 🎻 violin/music, 🎲 dice/game, ♟️ chess/pawn,
    🎯 bullseye/target direct hit, 🎳 bowling, 🎮 video game/controller, 🧩 puzzle/jigsaw, 🎉 party popper/celebrate congratulations tada, 🎊 confetti/celebrate, 🎈 balloon/birthday party, 🎁 gift/present birthday,
    🎀 ribbon, 🎃 pumpkin/halloween, 🎆 fireworks, 🧨 firecracker, 🪄 magic wand`,
  "Travel": `
    🚗 car, 🚕 taxi, 🚙 jeep/car, 🚌 bus, 🏎️ racing car/fast, 🚓 police car, 🚑 ambulance, 🚒 fire engine, 🚚 lorry/truck delivery, 🚜 tractor, 🛵 scooter, 🏍️ motorcycle, 🚲 bicycle/bike, 🛴 kick scooter,
    🚨 police light/alarm alert, 🚆 train, 🚄 fast train, 🚇 underground/metro subway, 🚊 tram, ✈️ aeroplane/plane flight airplane, 🛫 departure/plane take off, 🛬 arrival/plane landing, 🚁 helicopter, 🚀 rocket/launch ship fast,
    🛸 flying saucer/ufo, ⛵ sailing boat, 🚤 speedboat, ⛴️ ferry, 🚢 ship, ⚓ anchor/harbour, ⛽ fuel pump/petrol, 🚧 construction/roadworks, 🚦 traffic light, 🗺️ map/world, 🗿 moai, 🗽 statue of liberty, 🗼 tower, 🏰 castle,
    🎡 ferris wheel, 🎢 roller coaster, 🏖️ beach/holiday, 🏝️ island/holiday, 🏔️ mountain/snow, 🌋 volcano, 🏕️ camping/tent, ⛺ tent, 🏠 house/home, 🏡 house with garden/home, 🏢 office, 🏥 hospital, 🏦 bank, 🏨 hotel, 🏫 school,
    🏭 factory, ⛪ church, 🕌 mosque, 🕍 synagogue, 🛕 temple, 🌅 sunrise/morning, 🌇 sunset/evening, 🌃 night with stars/city, 🌉 bridge at night, 🌌 milky way/stars, 🧳 luggage/suitcase travel, 🧭 compass`,
  "Objects": `
    ⌚ watch, 📱 mobile phone, 💻 laptop/computer, ⌨️ keyboard, 🖥️ desktop computer/screen, 🖨️ printer, 🖱️ computer mouse, 💾 floppy disk/save, 💿 compact disc, 📷 camera/photo, 📹 video camera, 🎥 film camera/movie, 📞 telephone/call phone,
    📺 television/tv, 📻 radio, ⏰ alarm clock/time, ⏳ hourglass/wait time, 🔋 battery, 🔌 plug/power, 💡 light bulb/idea, 🔦 torch/flashlight, 🕯️ candle, 💸 flying money, 💵 banknote/money dollar, 💶 euro note/money, 💰 money bag,
    💳 credit card/pay, 💎 gem/diamond, ⚖️ scales/justice, 🔧 spanner/wrench fix, 🔨 hammer/build, 🛠️ tools/fix, ⚙️ gear/settings, 🧱 brick, 🧲 magnet, 🔭 telescope, 🔬 microscope, 💣 bomb, 🔪 knife, 🛡️ shield/security, 🔮 crystal ball/future,
    💊 pill/medicine, 💉 syringe/vaccine, 🩹 plaster/bandage, 🧬 DNA, 🧪 test tube/experiment, 🌡️ thermometer, 🧹 broom/clean, 🧺 basket, 🧻 toilet paper, 🛁 bathtub, 🧼 soap/wash, 🔑 key, 🚪 door, 🛏️ bed/sleep, 🛋️ sofa/couch, 🧸 teddy bear,
    🛒 shopping trolley/cart, 📦 parcel/package box, ✉️ envelope/mail letter, 📧 e-mail/letter, 📬 letterbox/mail, 📜 scroll, 📄 page/document, 📊 bar chart/graph, 📈 chart going up/graph growth, 📉 chart going down/graph loss, 📅 calendar/date,
    🗑️ bin/trash delete, 📁 folder, 📋 clipboard, 📌 pin, 📎 paper clip/attach, 📏 ruler, ✂️ scissors/cut, 📝 memo/note write, ✏️ pencil/edit, 🔍 magnifying glass/search, 🔒 locked/private secure, 🔓 unlocked, 📖 book/read, 📚 books/read,
    📰 newspaper, 🔖 bookmark, 🏷️ label/tag, 👓 glasses, 👕 t-shirt, 👟 trainer/shoe sneaker, 👑 crown/king queen, 🎓 graduation cap, 💍 ring/wedding, 👜 handbag, 🎒 backpack/school, ☂️ umbrella, 📣 megaphone/announce, 🔔 bell/notify, 🔕 bell off/mute`,
  "Symbols": `
    ❤️ red heart/love, 🧡 orange heart/love, 💛 yellow heart/love, 💚 green heart/love, 💙 blue heart/love, 💜 purple heart/love, 🖤 black heart, 🤍 white heart/love, 🤎 brown heart/love, 💔 broken heart/sad, ❣️ heart exclamation, 💕 two hearts/love,
    💞 revolving hearts/love, 💓 beating heart/love, 💗 growing heart/love, 💖 sparkling heart/love, 💘 heart with arrow/love, 💝 heart with ribbon/love gift, 💯 hundred points/perfect score, 💢 anger, 💥 collision/boom bang, 💫 dizzy star,
    💬 speech bubble/comment chat, 💭 thought bubble, 💤 zzz/sleep, ✅ check mark button/done yes, ☑️ ticked box/done, ✔️ check mark/done tick yes, ❌ cross mark/no wrong, ❎ cross mark button, ➕ plus/add, ➖ minus, ❓ question mark, ❗ exclamation mark,
    ‼️ double exclamation mark, ⁉️ exclamation and question mark, ⚠️ warning/caution, 🚫 prohibited/no forbidden, ⛔ no entry/stop, 🛑 stop sign, 🔞 no one under eighteen, ♻️ recycling, 🔄 arrows in a circle/refresh sync, ➡️ arrow right, ⬅️ arrow left,
    ⬆️ arrow up, ⬇️ arrow down, ↩️ arrow turning left/reply back, 🔁 repeat, ▶️ play, ⏸️ pause, ⏹️ stop button, ⏩ fast forward, 🔊 loud speaker/volume sound, 🔇 muted speaker/silent, 🎵 musical note/music, 🎶 musical notes/music, ♾️ infinity, ☮️ peace,
    ☯️ yin yang, 🆗 OK button/okay, 🆕 new button, 🆒 cool button, 🆘 SOS/help, 🔴 red circle, 🟠 orange circle, 🟡 yellow circle, 🟢 green circle, 🔵 blue circle, 🟣 purple circle, ⚫ black circle, ⚪ white circle, 🔺 red triangle, 🔶 orange diamond, 🔷 blue diamond,
    🏁 chequered flag/finish, 🚩 red flag, 🏳️ white flag/surrender, 🏴 black flag, 🏳️‍🌈 rainbow flag/pride, 🏴‍☠️ pirate flag, 🇪🇺 flag of the European Union, 🇺🇳 flag of the United Nations`,
} as const;

const icons: Record<keyof typeof lists, string> = { Smileys: "😀", People: "👋", Nature: "🌿", Food: "☕", Activities: "⚽", Travel: "🚗", Objects: "💡", Symbols: "❤️" };

/** All of them, in the order in which they are shown. */
export const groups: readonly Group[] = (Object.keys(lists) as (keyof typeof lists)[]).map((name) => ({ name, icon: icons[name], emoji: lists[name].split(",").map(entry) }));

function entry(text: string): Emoji {
  const [, emoji = "", name = "", more = ""] = /^\s*(\S+) ([^/]+)\/?(.*)$/.exec(text) ?? [];
  return { emoji, name, words: `${name} ${more}`.toLowerCase().split(/[\s-]+/).filter(Boolean) };
}

/** Those whose every word of a query begins one of their words, first the one that is called so, then those whose name begins so. */
export function search(query: string): readonly Emoji[] {
  const asked = query.toLowerCase().trim().split(/[\s-]+/);
  const found = groups.flatMap((group) => group.emoji).filter(({ emoji, words }) => emoji === asked[0] || asked.every((begin) => words.some((word) => word.startsWith(begin))));
  const text = asked.join(" ");
  const rank = ({ name }: Emoji): number => (name.toLowerCase() === text ? 0 : name.toLowerCase().startsWith(text) ? 1 : 2);
  return found.sort((a, b) => rank(a) - rank(b));
}
